//! Echo packets over IPv4 (RFC 5880, section 5; RFC 5881, section 4): from this node to itself, via the peer,
//! whose forwarding plane loops them back without BFD.
//!
//! ```text
//!   bytes  0..20  IPv4: source and destination are this side's address, TTL 255
//!         20..28  UDP: port 3785 to port 3785
//!         28..32  this side's discriminator
//!         32..40  sequence number: ascending per session
//!         40..48  token: unforgeable
//! ```

use std::net::Ipv4Addr;

use lb_common::wire::{bfd, checksum};

use crate::session::Discriminator;

/// Length of an echo packet in bytes.
pub const LENGTH: usize = IP + UDP + PAYLOAD;

const IP: usize = 20;
const UDP: usize = 8;
const PAYLOAD: usize = 20;
const PROTOCOL: u8 = 17;
const VERSION_AND_LENGTH: u8 = 0x45;
/// DSCP CS6, network control.
const CLASS: u8 = 48 << 2;
/// Flags and fragment offset: do not fragment.
const DO_NOT_FRAGMENT: [u8; 2] = [0x40, 0];
/// Mask of the more-fragments flag and the fragment offset.
const FRAGMENT: u16 = 0x3fff;

/// The payload of an echo packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoPayload {
    /// The session.
    pub discriminator: Discriminator,
    /// Sequence number of the echo.
    pub number: u64,
    /// Unforgeable token.
    pub token: u64,
}

/// A packet to a BFD port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BfdPortPacket {
    /// A control packet from the link.
    Control {
        /// Sender.
        source: Ipv4Addr,
        /// Receiver.
        destination: Ipv4Addr,
    },
    /// An echo that was forwarded once.
    Echo {
        /// Sender and receiver.
        address: Ipv4Addr,
        /// Payload.
        payload: EchoPayload,
    },
}

/// Builds an echo packet, from the IP header on.
pub fn build(address: Ipv4Addr, payload: &EchoPayload) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    let (ip, datagram) = packet.split_at_mut(IP);
    let [high, low] = (LENGTH as u16).to_be_bytes();
    let [a, b, c, d] = address.octets();
    let [f0, f1] = DO_NOT_FRAGMENT;
    let header = [
        VERSION_AND_LENGTH,
        CLASS,
        high,
        low,
        0,
        0,
        f0,
        f1,
        bfd::TTL,
        PROTOCOL,
        0,
        0,
        a,
        b,
        c,
        d,
        a,
        b,
        c,
        d,
    ];
    let [c0, c1] = checksum::finish(checksum::sum(&header));
    ip.copy_from_slice(&header);
    ip[10..12].copy_from_slice(&[c0, c1]);

    let length = ((UDP + PAYLOAD) as u16).to_be_bytes();
    datagram[..2].copy_from_slice(&bfd::ECHO_PORT);
    datagram[2..4].copy_from_slice(&bfd::ECHO_PORT);
    datagram[4..6].copy_from_slice(&length);
    datagram[8..12].copy_from_slice(&payload.discriminator.get().to_be_bytes());
    datagram[12..20].copy_from_slice(&payload.number.to_be_bytes());
    datagram[20..28].copy_from_slice(&payload.token.to_be_bytes());
    let check = datagram_check(datagram, [a, b, c, d], length);
    datagram[6..8].copy_from_slice(&check);
    packet
}

/// UDP checksum (RFC 768): addresses, protocol and datagram.
fn datagram_check(datagram: &[u8], [a, b, c, d]: [u8; 4], [l0, l1]: [u8; 2]) -> [u8; 2] {
    let pseudo = checksum::sum(&[a, b, c, d, a, b, c, d, 0, PROTOCOL, l0, l1]);
    let words = datagram.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    match checksum::finish(pseudo + words.sum::<u32>()) {
        // Zero means no checksum.
        [0, 0] => [0xff, 0xff],
        check => check,
    }
}

/// Parses a packet from the IP header on; `None` if it is neither.
pub fn read(packet: &[u8]) -> Option<BfdPortPacket> {
    let (header, _) = packet.split_first_chunk::<IP>()?;
    let length = usize::from(header[0] & 0x0f) * 4;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT;
    if header[0] >> 4 != 4 || length < IP || header[9] != PROTOCOL || fragment != 0 {
        return None;
    }
    let ttl = header[8];
    let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
    let destination = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
    let (udp, payload) = packet.get(length..)?.split_first_chunk::<UDP>()?;
    match [udp[2], udp[3]] {
        bfd::SINGLE_HOP_PORT if ttl == bfd::TTL => Some(BfdPortPacket::Control { source, destination }),
        // A full TTL means that the peer has not forwarded it; a lower one that it came from farther away.
        bfd::ECHO_PORT if ttl == bfd::TTL - 1 && source == destination => {
            Some(BfdPortPacket::Echo { address: source, payload: parse_payload(payload)? })
        }
        _ => None,
    }
}

fn parse_payload(payload: &[u8]) -> Option<EchoPayload> {
    let (discriminator, rest) = payload.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (token, _) = rest.split_first_chunk::<8>()?;
    Some(EchoPayload {
        discriminator: Discriminator::new(u32::from_be_bytes(*discriminator))?,
        number: u64::from_be_bytes(*number),
        token: u64::from_be_bytes(*token),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn payload() -> EchoPayload {
        EchoPayload { discriminator: Discriminator::MAX, number: 0x0102_0304_0506_0708, token: 9 }
    }

    fn looped() -> [u8; LENGTH] {
        let mut packet = build(HERE, &payload());
        packet[8] = 254;
        packet
    }

    #[test]
    fn an_echo_is_a_datagram_to_ourselves_with_valid_checksums() {
        let packet = build(HERE, &payload());
        assert_eq!(
            (packet[8], &packet[12..16], &packet[16..20]),
            (255, &HERE.octets()[..], &HERE.octets()[..])
        );
        let header: &[u8; IP] = packet.first_chunk().unwrap();
        assert_eq!(checksum::finish(checksum::sum(header)), [0, 0]);
        // The sum over all covered data, including the checksum, is zero.
        let mut covered = [0; 12 + UDP + PAYLOAD];
        covered[..8].copy_from_slice(&packet[12..20]);
        covered[9..12].copy_from_slice(&[PROTOCOL, 0, (UDP + PAYLOAD) as u8]);
        covered[12..].copy_from_slice(&packet[IP..]);
        assert_eq!(checksum::finish(checksum::sum(&covered)), [0, 0]);
        assert_eq!(&packet[IP..IP + 4], [14, 201, 14, 201]);
    }

    #[test]
    fn an_echo_is_parsed_after_one_hop() {
        assert_eq!(read(&looped()), Some(BfdPortPacket::Echo { address: HERE, payload: payload() }));
    }

    #[test]
    fn other_packets_are_ignored() {
        /// Name, and the changed bytes.
        type Case = (&'static str, &'static [(usize, u8)]);
        let cases: [Case; 9] = [
            ("not forwarded yet", &[(8, 255)]),
            ("from farther away", &[(8, 253)]),
            ("from another sender", &[(15, 2)]),
            ("IPv6", &[(0, 0x65)]),
            ("TCP", &[(9, 6)]),
            ("a first fragment", &[(6, 0x20)]),
            ("a later fragment", &[(7, 1)]),
            ("to another port", &[(23, 202)]),
            ("of no session", &[(28, 0), (29, 0), (30, 0), (31, 0)]),
        ];
        for (what, bytes) in cases {
            let mut packet = looped();
            bytes.iter().for_each(|(at, byte)| packet[*at] = *byte);
            assert_eq!(read(&packet), None, "{what}");
        }
        for length in 0..LENGTH {
            assert_eq!(read(&looped()[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn options_are_skipped() {
        let mut packet = looped().to_vec();
        packet[0] = 0x46;
        packet.splice(IP..IP, [0; 4]);
        assert_eq!(read(&packet), Some(BfdPortPacket::Echo { address: HERE, payload: payload() }));
    }

    #[test]
    fn a_control_packet_from_the_link_gives_source_and_destination() {
        let mut packet = build(HERE, &payload());
        packet[19] = 2;
        packet[22..24].copy_from_slice(&bfd::SINGLE_HOP_PORT);
        let control = BfdPortPacket::Control { source: HERE, destination: Ipv4Addr::new(192, 0, 2, 2) };
        assert_eq!(read(&packet), Some(control));
        packet[8] = 254;
        assert_eq!(read(&packet), None);
    }
}
