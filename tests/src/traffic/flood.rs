//! Floods of foreign packets: as fast as possible or at a rate, each of a flow of its own.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use etherparse::PacketBuilder;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

use crate::payload::PayloadStream;

/// The packets' source network: for benchmarks (RFC 2544), and without a route.
pub const SOURCES: &str = "198.18.0.0/15";
/// How long to wait for a full queue.
const PACE: Duration = Duration::from_micros(50);
/// Number of packets between two reads of the clock.
const LOOK_EVERY: u64 = 1024;
/// Number of packets that are sent at once if there is a rate.
const BURST: u64 = 64;
/// Offsets in a packet without IP options.
const SOURCE: usize = 12;
const PORT: usize = 20;

/// The packets of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloodKind {
    /// TCP segments with SYN.
    Syn,
    /// TCP segments with ACK, as of established connections.
    Ack,
    /// UDP datagrams.
    Datagram,
}

/// The result of a flood.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Packets sent.
    pub sent: u64,
    /// How long it took.
    pub took: Duration,
}

/// Sends `count` packets to `target`, each from an address and port of its own, at no more than `rate` per
/// second and for no longer than `within`. To be called inside a host.
///
/// # Errors
/// When the kernel grants no raw socket, or does not send.
pub fn foreign_packets(
    kind: FloodKind,
    target: SocketAddrV4,
    count: u64,
    rate: u64,
    within: Duration,
) -> Result<Flood> {
    let raw = raw_socket()?;
    let begun = Instant::now();
    let mut random = PayloadStream::new(count);
    // Only the flow's fields differ: nothing behind the load balancer verifies the checksum.
    let mut packet = template(kind, target)?;
    let mut sent = 0;
    while sent < count && (sent % LOOK_EVERY != 0 || begun.elapsed() < within) {
        let mut dice = [0; 5];
        random.fill(&mut dice);
        let [a, b, c, d, e] = dice;
        packet[SOURCE..SOURCE + 4].copy_from_slice(&[198, 18 | (a & 1), b, c]);
        packet[PORT..PORT + 2].copy_from_slice(&(1024 | u16::from_be_bytes([d, e])).to_be_bytes());
        send(&raw, &packet, target)?;
        sent += 1;
        keep_pace(begun, sent, rate);
    }
    Ok(Flood { sent, took: begun.elapsed() })
}

/// Sends `count` SYNs as [`foreign_packets`] does, without limits.
///
/// # Errors
/// As [`foreign_packets`].
pub fn syns(target: SocketAddrV4, count: u64) -> Result<Flood> {
    foreign_packets(FloodKind::Syn, target, count, u64::MAX, Duration::MAX)
}

/// Waits while more has been sent than the rate allows.
fn keep_pace(begun: Instant, sent: u64, rate: u64) {
    if sent.is_multiple_of(BURST) {
        let due = Duration::from_micros(sent.saturating_mul(1_000_000) / rate);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
}

/// Sends one valid SYN from each port of `source` except zero, at `rate` per second; `source` is a client's
/// address, so these include the ports of its connections.
///
/// # Errors
/// As [`foreign_packets`].
pub fn blind_syns(source: Ipv4Addr, target: SocketAddrV4, rate: u64) -> Result<Flood> {
    let raw = raw_socket()?;
    let begun = Instant::now();
    let mut packet = Vec::with_capacity(64);
    for port in 1..=u16::MAX {
        packet.clear();
        PacketBuilder::ipv4(source.octets(), target.ip().octets(), 64)
            .tcp(port, target.port(), u32::from(port).wrapping_mul(0x9e37_79b1), 64_240)
            .syn()
            .write(&mut packet, &[])?;
        send(&raw, &packet, target)?;
        keep_pace(begun, port.into(), rate);
    }
    Ok(Flood { sent: u16::MAX.into(), took: begun.elapsed() })
}

fn raw_socket() -> Result<OwnedFd> {
    socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Raw).context("a raw socket")
}

fn template(kind: FloodKind, target: SocketAddrV4) -> Result<Vec<u8>> {
    let mut packet = Vec::with_capacity(64);
    let ip = PacketBuilder::ipv4([198, 18, 0, 0], target.ip().octets(), 64);
    match kind {
        FloodKind::Syn => ip.tcp(0, target.port(), 1, 64_240).syn().write(&mut packet, &[])?,
        FloodKind::Ack => ip.tcp(0, target.port(), 1, 64_240).ack(1).write(&mut packet, &[])?,
        FloodKind::Datagram => ip.udp(0, target.port()).write(&mut packet, b"?")?,
    }
    Ok(packet)
}

/// Sends a packet, and waits while the queue is full, so that counted packets have been sent.
fn send(raw: &OwnedFd, packet: &[u8], target: SocketAddrV4) -> Result<()> {
    let to = SockaddrIn::from(SocketAddrV4::new(*target.ip(), 0));
    loop {
        match sendto(raw.as_raw_fd(), packet, &to, MsgFlags::empty()) {
            Ok(_) => return Ok(()),
            Err(Errno::ENOBUFS | Errno::EAGAIN) => std::thread::sleep(PACE),
            Err(error) => return Err(error).context("send a packet of a flood"),
        }
    }
}
