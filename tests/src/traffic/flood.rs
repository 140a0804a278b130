//! A flood of SYNs that nobody means, from addresses that nobody has.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use etherparse::PacketBuilder;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

use super::payload::Stream;

/// Where the SYNs say that they are from: a network for benchmarks (RFC 2544), which no route leads to.
pub const SOURCES: &str = "198.18.0.0/15";
/// How much the kernel may hold of what is on its way.
const PACE: Duration = Duration::from_micros(50);

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
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Raw)
        .context("a raw socket")?;
    let begun = Instant::now();
    let mut random = Stream::new(count);
    let mut packet = Vec::with_capacity(64);
    for _ in 0..count {
        packet.clear();
        write_syn(&mut packet, &mut random, target)?;
        send(&raw, &packet, target)?;
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

/// A full queue is waited for: what is counted as sent has been sent.
fn send(raw: &OwnedFd, packet: &[u8], target: SocketAddrV4) -> Result<()> {
    let to = SockaddrIn::from(SocketAddrV4::new(*target.ip(), 0));
    loop {
        match sendto(raw.as_raw_fd(), packet, &to, MsgFlags::empty()) {
            Ok(_) => return Ok(()),
            Err(Errno::ENOBUFS | Errno::EAGAIN) => std::thread::sleep(PACE),
            Err(error) => return Err(error).context("send a SYN"),
        }
    }
}
