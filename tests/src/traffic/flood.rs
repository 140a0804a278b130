//! A flood of SYNs that nobody means, from addresses that nobody has.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::Result;
use etherparse::PacketBuilder;

use super::payload::Stream;
use super::raw::RawSocket;

/// Where the SYNs say that they are from: a network for benchmarks (RFC 2544), which no route leads to.
pub const SOURCES: &str = "198.18.0.0/15";

/// What a flood was.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// SYNs sent.
    pub sent: u64,
    /// How long it took.
    pub took: Duration,
}

/// Sends `count` SYNs to `target`, each from an address and port of its own, as fast as it goes. To be called
/// inside a host.
///
/// # Errors
/// When the kernel gives no raw socket, or will not send.
pub fn syns(target: SocketAddrV4, count: u64) -> Result<Flood> {
    let raw = RawSocket::open()?;
    let begun = Instant::now();
    let mut random = Stream::new(count);
    let mut packet = Vec::with_capacity(64);
    for _ in 0..count {
        packet.clear();
        write_syn(&mut packet, &mut random, target)?;
        raw.send(&packet)?;
    }
    Ok(Flood { sent: count, took: begun.elapsed() })
}

fn write_syn(packet: &mut Vec<u8>, random: &mut Stream, target: SocketAddrV4) -> Result<()> {
    let mut dice = [0; 9];
    random.fill(&mut dice);
    let [a, b, c, d, e, sequence @ ..] = dice;
    let source = Ipv4Addr::new(198, 18 | (a & 1), b, c);
    let port = 1024 | u16::from_be_bytes([d, e]);
    PacketBuilder::ipv4(source.octets(), target.ip().octets(), 64)
        .tcp(port, target.port(), u32::from_be_bytes(sequence), 64_240)
        .syn()
        .write(packet, &[])?;
    Ok(())
}
