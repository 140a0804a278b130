//! ARP and neighbor discovery frames, built and read independently of the product.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};

/// The address of every station.
pub const BROADCAST: HostMac = HostMac([0xff; 6]);
/// All IPv6 nodes of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Bytes of Ethernet and IPv6 headers.
const IPV6_HEADERS: usize = 54;

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostMac(pub [u8; 6]);

impl fmt::Display for HostMac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl HostMac {
    /// Returns whether it is the broadcast or a multicast address.
    #[must_use]
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Reads the usual notation.
    ///
    /// # Errors
    /// When it is not six bytes.
    pub fn parse(text: &str) -> Result<Self> {
        let bytes: Result<Vec<u8>, _> = text.trim().split(':').map(|it| u8::from_str_radix(it, 16)).collect();
        let bytes: Option<[u8; 6]> = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).with_context(|| format!("{text:?} is no MAC address"))
    }
}

/// The purpose of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeighborKind {
    /// A question for an address, from a host that has one itself.
    Question,
    /// A question from a host without an address: is the address in use? (RFC 5227; RFC 4862)
    Probe,
    /// An answer to a question.
    Answer,
    /// A claim that answers no request: gratuitous ARP in either form, an unsolicited advertisement.
    Announcement,
}

/// A frame of ARP or neighbor discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborFrame {
    /// The purpose.
    pub kind: NeighborKind,
    /// The address asked for, answered or announced.
    pub address: IpAddr,
    /// The MAC address in the message: of the answering or announcing station; of a question, the asker's.
    pub mac: HostMac,
    /// The address of the sender; unspecified in a probe.
    pub from: IpAddr,
    /// The Ethernet source.
    pub source: HostMac,
    /// The Ethernet destination.
    pub destination: HostMac,
}

impl NeighborFrame {
    /// Reads a frame; `None` if it is anything else.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let ends = Ends { destination: mac(frame, 0)?, source: mac(frame, 6)? };
        match frame.get(12..14)?.try_into().ok()? {
            ARP => ends.arp(frame),
            IPV6 => ends.discovery(frame),
            _ => None,
        }
    }

    /// Returns whether `mac` says by it that the address is its own.
    #[must_use]
    pub fn is_claim(&self) -> bool {
        matches!(self.kind, NeighborKind::Answer | NeighborKind::Announcement)
    }
}

struct Ends {
    destination: HostMac,
    source: HostMac,
}

impl Ends {
    fn arp(self, frame: &[u8]) -> Option<NeighborFrame> {
        let (operation, mac) = (*frame.get(21)?, mac(frame, 22)?);
        let address = |at| Some(Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
        let (sender, target) = (address(28)?, address(38)?);
        let (kind, address) = match operation {
            _ if sender == target => (NeighborKind::Announcement, sender),
            REQUEST if sender.is_unspecified() => (NeighborKind::Probe, target),
            REQUEST => (NeighborKind::Question, target),
            REPLY if self.destination == BROADCAST => (NeighborKind::Announcement, sender),
            REPLY => (NeighborKind::Answer, sender),
            _ => return None,
        };
        Some(self.frame(kind, address.into(), (mac, sender.into())))
    }

    fn discovery(self, frame: &[u8]) -> Option<NeighborFrame> {
        // Without extension headers, which no host sends here.
        let message = frame.get(IPV6_HEADERS..).filter(|_| frame.get(20) == Some(&58))?;
        let address = |bytes: &[u8]| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?));
        let (sender, target) = (address(frame.get(22..38)?)?, address(message.get(8..24)?)?);
        let (kind, option) = match *message.first()? {
            SOLICITATION if sender.is_unspecified() => (NeighborKind::Probe, SOURCE_LINK),
            SOLICITATION => (NeighborKind::Question, SOURCE_LINK),
            ADVERTISEMENT if message.get(4)? & SOLICITED != 0 => (NeighborKind::Answer, TARGET_LINK),
            ADVERTISEMENT => (NeighborKind::Announcement, TARGET_LINK),
            _ => return None,
        };
        let mac = link_option(message.get(24..)?, option).unwrap_or(self.source);
        Some(self.frame(kind, target.into(), (mac, sender.into())))
    }

    fn frame(self, kind: NeighborKind, address: IpAddr, (mac, from): (HostMac, IpAddr)) -> NeighborFrame {
        NeighborFrame { kind, address, mac, from, source: self.source, destination: self.destination }
    }
}

fn mac(frame: &[u8], at: usize) -> Option<HostMac> {
    Some(HostMac(frame.get(at..at + 6)?.try_into().ok()?))
}

fn link_option(mut options: &[u8], kind: u8) -> Option<HostMac> {
    while let [found, length, ..] = options {
        if *found == kind {
            return mac(options, 2);
        }
        options = options.get(usize::from(*length).max(1) * 8..)?;
    }
    None
}

/// Builds a question for `address` from a host with these addresses; the families must match.
#[must_use]
pub fn question(mac: HostMac, own: IpAddr, address: IpAddr) -> Vec<u8> {
    match (own, address) {
        (IpAddr::V4(own), IpAddr::V4(address)) => {
            arp(REQUEST, BROADCAST, (mac, own), (HostMac([0; 6]), address))
        }
        (IpAddr::V6(own), IpAddr::V6(address)) => {
            let group = solicited_node(address);
            let message = discovery_message(SOLICITATION, 0, address, SOURCE_LINK, mac);
            ipv6(multicast(group), mac, own, group, message)
        }
        _ => Vec::new(),
    }
}

/// Builds an answer to the question of a host.
#[must_use]
pub fn answer(mac: HostMac, address: IpAddr, asker: (HostMac, IpAddr)) -> Vec<u8> {
    match (address, asker.1) {
        (IpAddr::V4(address), IpAddr::V4(to)) => arp(REPLY, asker.0, (mac, address), (asker.0, to)),
        (IpAddr::V6(address), IpAddr::V6(to)) => {
            let message = discovery_message(ADVERTISEMENT, SOLICITED, address, TARGET_LINK, mac);
            ipv6(asker.0, mac, address, to, message)
        }
        _ => Vec::new(),
    }
}

/// Builds what announces an address: gratuitous ARP in both forms, or an unsolicited advertisement.
#[must_use]
pub fn announcements(mac: HostMac, address: IpAddr) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(address) => [REQUEST, REPLY]
            .map(|operation| arp(operation, BROADCAST, (mac, address), (BROADCAST, address)))
            .into(),
        IpAddr::V6(address) => {
            let message = discovery_message(ADVERTISEMENT, OVERRIDE, address, TARGET_LINK, mac);
            vec![ipv6(multicast(ALL_NODES), mac, address, ALL_NODES, message)]
        }
    }
}

fn arp(operation: u8, to: HostMac, sender: (HostMac, Ipv4Addr), target: (HostMac, Ipv4Addr)) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60);
    frame.extend(to.0);
    frame.extend(sender.0.0);
    frame.extend(ARP);
    frame.extend([0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend(sender.0.0);
    frame.extend(sender.1.octets());
    frame.extend(target.0.0);
    frame.extend(target.1.octets());
    frame.resize(60, 0);
    frame
}

fn discovery_message(kind: u8, flags: u8, target: Ipv6Addr, option: u8, mac: HostMac) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    message.extend([option, 1]);
    message.extend(mac.0);
    message
}

fn ipv6(
    destination: HostMac,
    source: HostMac,
    from: Ipv6Addr,
    to: Ipv6Addr,
    mut message: Vec<u8>,
) -> Vec<u8> {
    let checksum = checksum(from, to, &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = Vec::with_capacity(IPV6_HEADERS + message.len());
    frame.extend(destination.0);
    frame.extend(source.0);
    frame.extend(IPV6);
    frame.extend([0x60, 0, 0, 0, 0]);
    frame.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
    frame.extend([58, 255]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(message);
    frame
}

/// Returns the ICMPv6 checksum of a message whose checksum field is zero.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let mut bytes: Vec<u8> = from.octets().into_iter().chain(to.octets()).collect();
    bytes.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend([0, 0, 0, 58]);
    bytes.extend(message);
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Returns the group that questions for an address are sent to.
#[must_use]
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from(b) << 8 | u16::from(c))
}

fn multicast(group: Ipv6Addr) -> HostMac {
    let [.., a, b, c, d] = group.octets();
    HostMac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: HostMac = HostMac([2, 0, 0, 0, 0, 1]);
    const OTHER: HostMac = HostMac([2, 0, 0, 0, 0, 2]);

    /// What is built is what is read.
    #[test]
    fn frames_are_read_as_they_were_built() {
        for (host, address) in [("10.1.0.201", "10.1.0.100"), ("fd00:1::201", "fd00:1::100")] {
            let (host, address): (IpAddr, IpAddr) = (host.parse().unwrap(), address.parse().unwrap());
            let asked = NeighborFrame::read(&question(OWN, host, address)).unwrap();
            assert_eq!((asked.kind, asked.address, asked.mac), (NeighborKind::Question, address, OWN));
            assert_eq!(asked.from, host);
            let answered = NeighborFrame::read(&answer(OTHER, address, (OWN, host))).unwrap();
            assert_eq!(
                (answered.kind, answered.address, answered.mac),
                (NeighborKind::Answer, address, OTHER)
            );
            assert_eq!((answered.source, answered.destination), (OTHER, OWN));
            for frame in announcements(OTHER, address) {
                let frame = NeighborFrame::read(&frame).unwrap();
                assert_eq!(
                    (frame.kind, frame.address, frame.mac),
                    (NeighborKind::Announcement, address, OTHER)
                );
            }
        }
    }

    /// The sum over a message with its checksum is zero.
    #[test]
    fn the_checksum_verifies() {
        let frame = question(OWN, "fd00:1::201".parse().unwrap(), "fd00:1::100".parse().unwrap());
        let (from, to) = ("fd00:1::201".parse().unwrap(), "ff02::1:ff00:100".parse().unwrap());
        assert_eq!(checksum(from, to, &frame[IPV6_HEADERS..]), 0);
    }

    #[test]
    fn mac_addresses_are_read() {
        assert_eq!(HostMac::parse("02:00:00:00:00:01\n").unwrap(), OWN);
        assert!(HostMac::parse("02:00").is_err());
    }
}
