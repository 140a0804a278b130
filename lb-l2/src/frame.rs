//! The frames that a node sends of its own accord: announcements, and checks for duplicates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::wire::ip::protocol;
use lb_common::wire::{arp, checksum, ethernet, ip, ndp};

/// What a frame says about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum L2FrameKind {
    /// The address is here: a gratuitous ARP request (RFC 5227 section 2.3), or an unsolicited Neighbor
    /// Advertisement (RFC 4861 section 7.2.6).
    Announcement,
    /// The same as an ARP reply (RFC 5944 section 4.6): some hosts update their cache by one form only. For
    /// IPv6 there is one form.
    AnnouncementReply,
    /// Whether a host has the address: an ARP probe (RFC 5227 section 2.1.1), or the Neighbor Solicitation of
    /// Duplicate Address Detection (RFC 4862 section 5.4.2).
    Probe,
}

impl L2FrameKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Announcement, Self::AnnouncementReply, Self::Probe];
}

/// Bytes of the longest frame.
pub const LONGEST: usize = ethernet::HEADER + ip::V6_HEADER + ndp::ADVERTISEMENT_LENGTH;

/// A frame to send, from the Ethernet header on, without padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct L2Frame {
    bytes: [u8; LONGEST],
    length: usize,
}

impl L2Frame {
    /// Builds the frame that a link with this MAC sends about an address.
    pub fn new(kind: L2FrameKind, mac: [u8; 6], address: IpAddr) -> Self {
        let mut frame = Self { bytes: [0; LONGEST], length: 0 };
        match address {
            IpAddr::V4(address) => frame.write_arp(kind, mac, address),
            IpAddr::V6(address) => frame.write_ndp(kind, mac, address),
        }
        frame
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }

    fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            for byte in *part {
                if let Some(place) = self.bytes.get_mut(self.length) {
                    *place = *byte;
                    self.length += 1;
                }
            }
        }
    }

    fn write_arp(&mut self, kind: L2FrameKind, mac: [u8; 6], address: Ipv4Addr) {
        let address = address.octets();
        let (operation, sender, target_mac) = match kind {
            L2FrameKind::Announcement => (arp::REQUEST, address, [0; 6]),
            L2FrameKind::AnnouncementReply => (arp::REPLY, address, mac),
            // A sender of zero changes no cache.
            L2FrameKind::Probe => (arp::REQUEST, [0; 4], [0; 6]),
        };
        self.push(&[&ethernet::BROADCAST, &mac, &ethernet::ARP]);
        self.push(&[&operation, &mac, &sender, &target_mac, &address]);
    }

    fn write_ndp(&mut self, kind: L2FrameKind, mac: [u8; 6], address: Ipv6Addr) {
        let target = address.octets();
        match kind {
            L2FrameKind::Announcement | L2FrameKind::AnnouncementReply => {
                let message = Message { from: target, to: ndp::ALL_NODES, kind: ndp::ADVERTISEMENT, target };
                self.write_message(mac, &message, ndp::OVERRIDE, &[&ndp::TARGET_ADDRESS, &mac]);
            }
            // Without an option: a host that checks has no address yet (RFC 4861 section 4.3).
            L2FrameKind::Probe => {
                let to = ndp::solicited_node(target);
                let message = Message { from: [0; 16], to, kind: ndp::SOLICITATION, target };
                self.write_message(mac, &message, 0, &[]);
            }
        }
    }

    fn write_message(&mut self, mac: [u8; 6], message: &Message, flags: u8, option: &[&[u8]]) {
        let Message { from, to, kind, target } = message;
        let length: usize = ndp::MESSAGE + option.iter().map(|part| part.len()).sum::<usize>();
        let length = length as u8;
        self.push(&[&ndp::multicast_mac(*to), &mac, &ethernet::IPV6]);
        self.push(&[&[0x60, 0, 0, 0, 0, length, protocol::ICMPV6, ndp::HOP_LIMIT], from, to]);
        let start = self.length;
        self.push(&[kind, &[0, 0, flags, 0, 0, 0], target]);
        self.push(option);
        let pseudo_header = sum(from) + sum(to) + u32::from(length) + u32::from(protocol::ICMPV6);
        let check = checksum::finish(pseudo_header + sum(self.bytes.get(start..).unwrap_or_default()));
        for (place, byte) in self.bytes.iter_mut().skip(start + 2).zip(check) {
            *place = byte;
        }
    }
}

impl std::fmt::Debug for L2Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "L2Frame({:02x?})", self.as_bytes())
    }
}

/// A message of Neighbor Discovery.
struct Message {
    from: [u8; 16],
    to: [u8; 16],
    kind: [u8; 2],
    target: [u8; 16],
}

/// Returns the sum of the 16-bit words of a short piece.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    let (pairs, rest) = bytes.as_chunks();
    let last = rest.first().map_or(0, |byte| u32::from(*byte) << 8);
    pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum::<u32>() + last
}

#[cfg(test)]
mod tests;
