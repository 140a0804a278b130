//! Invalid BFD packets, sent by the router while only the program can answer them.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{LinkAddr, MsgFlags, sendto, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::LabHost;
use crate::packets::build::Frame;

/// The port of single-hop sessions (RFC 5881 4).
const BFD_PORT: u16 = 3784;
/// The source port of packets that a test sends, which no router uses.
const FORGED_PORT: u16 = 65_001;
/// `ETH_P_ALL` in network byte order, as packet sockets expect it.
const ALL: i32 = 3_u16.to_be() as i32;
const QUEUE: usize = 8 << 20;
/// The time between two packets.
const PACE: Duration = Duration::from_millis(2);

/// A captured BFD packet between a router and a node.
#[derive(Clone, Debug)]
pub struct BfdPacket {
    /// The whole frame.
    frame: Vec<u8>,
    /// Where the BFD packet begins.
    at: usize,
    /// Where it ends: a short frame is padded.
    end: usize,
    /// Source and destination.
    pub addresses: [IpAddr; 2],
    /// Source port.
    pub port: u16,
}

/// A way in which a packet is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// None: a copy of the router's own packet, which is answered while the session is kept.
    Genuine,
    /// It has passed a router.
    Ttl,
    /// For a session that does not exist.
    Discriminator,
    /// For no session.
    NoDiscriminator,
    /// Of a session that the router has ended.
    StateDown,
    /// A length beyond the packet's end.
    Length,
    /// It claims to be authenticated.
    Authentication,
    /// From another host of the rack.
    Source,
    /// An unknown version.
    Version,
    /// A detection multiplier of zero.
    Multiplier,
}

/// The number of packets in both directions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exchange {
    /// Forged.
    pub forged: usize,
    /// From the router itself.
    pub questions: usize,
    /// From the node to the router.
    pub answers: usize,
}

/// Offsets in a BFD packet (RFC 5880 4.1).
const STATE: usize = 1;
const MULTIPLIER: usize = 2;
const LENGTH: usize = 3;
const YOUR_DISCRIMINATOR: usize = 8;
const END: usize = 24;

impl Forgery {
    /// All that are invalid.
    pub const INVALID: [Self; 9] = [
        Self::Ttl,
        Self::Discriminator,
        Self::NoDiscriminator,
        Self::StateDown,
        Self::Length,
        Self::Authentication,
        Self::Source,
        Self::Version,
        Self::Multiplier,
    ];

    /// Returns the frame that is invalid in this way alone, made from a genuine packet.
    #[must_use]
    pub fn apply(self, genuine: &BfdPacket) -> Vec<u8> {
        let mut bfd: Vec<u8> = genuine.frame[genuine.at..genuine.end].to_vec();
        let [mut source, destination] = genuine.addresses;
        match self {
            Self::Genuine | Self::Ttl => {}
            Self::Discriminator => bfd[YOUR_DISCRIMINATOR] ^= 0xff,
            Self::NoDiscriminator => bfd[YOUR_DISCRIMINATOR..YOUR_DISCRIMINATOR + 4].fill(0),
            Self::StateDown => bfd[STATE] = (bfd[STATE] & 0x3f) | 0x40,
            Self::Length => bfd[LENGTH] = 200,
            Self::Authentication => bfd[STATE] |= 0x04,
            Self::Source => source = neighbor(source),
            Self::Version => bfd[0] = (bfd[0] & 0x1f) | 0x40,
            Self::Multiplier => bfd[MULTIPLIER] = 0,
        }
        let frame = match (source, destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Frame::v4(from.octets(), to.octets()),
            (from, to) => Frame::v6(octets(from), octets(to)),
        };
        let ttl = if self == Self::Ttl { 254 } else { 255 };
        let packet = frame.ttl(ttl).datagram(FORGED_PORT, BFD_PORT, &bfd).ip();
        [&genuine.frame[..14], &packet].concat()
    }
}

/// A router's end of the rack.
#[derive(Debug)]
pub struct BfdWire {
    socket: Socket,
    link: LinkAddr,
}

impl BfdWire {
    /// Opens it on a link of a host.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn open(host: &LabHost, link: &str) -> Result<Self> {
        host.run(|| {
            let mut addresses = getifaddrs()?.filter(|it| it.interface_name == link);
            let found =
                addresses.find_map(|it| it.address.and_then(|address| address.as_link_addr().copied()));
            let link = found.with_context(|| format!("no interface {link}"))?;
            // It receives what passes any link in either direction.
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ALL)))?;
            socket.set_nonblocking(true)?;
            setsockopt(&socket, RcvBufForce, &QUEUE)?;
            Ok(Self { socket, link })
        })
    }

    /// Captures a packet of an established session that the router sends to `node`.
    ///
    /// # Errors
    /// When none is sent in time.
    pub fn capture(&self, node: IpAddr, within: Duration) -> Result<BfdPacket> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            let packet = self.receive()?.filter(|it| it.addresses[1] == node);
            if let Some(packet) = packet.filter(|it| it.frame[it.at + STATE] & 0xc0 == 0xc0) {
                return Ok(packet);
            }
            sleep(Duration::from_millis(1));
        }
        bail!("the router sends no BFD packets to {node}")
    }

    /// Sends a frame again and again, and counts the packets of both directions meanwhile: those of the
    /// session of `genuine`, and answers to the forged source.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn exchange(&self, genuine: &BfdPacket, frame: &[u8], time: Duration) -> Result<Exchange> {
        let [router, node] = genuine.addresses;
        // What has waited belongs to no exchange.
        while self.receive()?.is_some() {}
        let (begun, mut exchange) = (Instant::now(), Exchange::default());
        while begun.elapsed() < time {
            sendto(self.socket.as_raw_fd(), frame, &self.link, MsgFlags::empty())?;
            exchange.forged += 1;
            sleep(PACE);
            while let Some(packet) = self.receive()? {
                let [from, to] = packet.addresses;
                if from == router && to == node && packet.port != FORGED_PORT {
                    exchange.questions += 1;
                } else if from == node && (to == router || to == neighbor(router)) {
                    exchange.answers += 1;
                }
            }
        }
        Ok(exchange)
    }

    /// Returns the next BFD packet that has come, if any.
    fn receive(&self) -> Result<Option<BfdPacket>> {
        let mut buffer = [0; 2048];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(length) => {
                    if let Some(packet) = BfdPacket::parse(&buffer[..length]) {
                        return Ok(Some(packet));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // The kernel reports a link that has gone down once.
                Err(error) if error.raw_os_error() == Some(Errno::ENETDOWN as i32) => {}
                Err(error) => return Err(error).context("receive a packet"),
            }
        }
    }
}

impl BfdPacket {
    /// Parses a frame; `None` if it is not a BFD packet.
    fn parse(frame: &[u8]) -> Option<Self> {
        let sliced = SlicedPacket::from_ethernet(frame).ok()?;
        let addresses: [IpAddr; 2] = match sliced.net? {
            NetSlice::Ipv4(ip) => [ip.header().source_addr().into(), ip.header().destination_addr().into()],
            NetSlice::Ipv6(ip) => [ip.header().source_addr().into(), ip.header().destination_addr().into()],
            NetSlice::Arp(_) => return None,
        };
        let Some(TransportSlice::Udp(udp)) = sliced.transport else { return None };
        let payload = udp.payload();
        if udp.destination_port() != BFD_PORT || payload.len() < END {
            return None;
        }
        let at = payload.as_ptr() as usize - frame.as_ptr() as usize;
        Some(Self { frame: frame.to_vec(), at, end: at + payload.len(), addresses, port: udp.source_port() })
    }
}

/// Returns another address of the network.
fn neighbor(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) ^ 0x40).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) ^ 0x40).into(),
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the router's packet of a session that is up.
    fn genuine() -> BfdPacket {
        let words = [7_u32, 9, 50_000, 50_000, 0].into_iter().flat_map(u32::to_be_bytes);
        let bfd: Vec<u8> = [0x20, 0xc0, 3, 24].into_iter().chain(words).collect();
        let ip = Frame::v4([10, 1, 0, 1], [10, 1, 0, 11]).ttl(255).datagram(49_152, BFD_PORT, &bfd).ip();
        let ethernet = [[2; 12].as_slice(), &[8, 0]].concat();
        BfdPacket::parse(&[ethernet, ip].concat()).unwrap()
    }

    #[test]
    fn each_forgery_differs_from_the_genuine_packet() {
        let genuine = genuine();
        let copy = Forgery::Genuine.apply(&genuine);
        let parsed = BfdPacket::parse(&copy).unwrap();
        assert_eq!(parsed.frame[parsed.at..], genuine.frame[genuine.at..genuine.end]);
        assert_eq!((parsed.addresses, parsed.port), (genuine.addresses, FORGED_PORT));
        for forgery in Forgery::INVALID {
            assert_ne!(forgery.apply(&genuine), copy, "{forgery:?}");
        }
    }
}
