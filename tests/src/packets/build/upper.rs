//! Payloads of IP packets.
#![allow(clippy::expect_used, reason = "a frame that cannot be built is a mistake in the table")]

use etherparse::{Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type};

use super::{Addresses, TcpHeader, UdpHeader};

/// TCP flags, which can be combined.
pub mod flags {
    use super::TcpHeader;

    /// The sender has sent everything.
    pub const FIN: u8 = 1;
    /// A connection begins.
    pub const SYN: u8 = 2;
    /// The connection does not exist, or ends at once.
    pub const RST: u8 = 4;
    /// The acknowledgment number is valid.
    pub const ACK: u8 = 16;

    pub(super) const fn set(header: &mut TcpHeader, flags: u8) {
        header.fin = flags & FIN != 0;
        header.syn = flags & SYN != 0;
        header.rst = flags & RST != 0;
        header.ack = flags & ACK != 0;
    }
}

/// Types of SCTP chunks (RFC 9260 section 3.2).
pub mod chunk {
    /// User data.
    pub const DATA: u8 = 0;
    /// An association begins.
    pub const INIT: u8 = 1;
    /// A reachability check.
    pub const HEARTBEAT: u8 = 4;
    /// The association ends at once.
    pub const ABORT: u8 = 6;
    /// The sender has sent everything.
    pub const SHUTDOWN: u8 = 7;
    /// The receiver has sent everything, too.
    pub const SHUTDOWN_ACK: u8 = 8;
    /// The client's answer to the server's cookie.
    pub const COOKIE_ECHO: u8 = 10;
    /// The association has ended.
    pub const SHUTDOWN_COMPLETE: u8 = 14;
}

/// Transport header and payload.
#[derive(Clone, Debug)]
pub enum Upper {
    /// TCP with source port, destination port, flags, payload.
    Tcp(u16, u16, u8, Vec<u8>),
    /// UDP with source port, destination port, payload.
    Udp(u16, u16, Vec<u8>),
    /// UDP without a checksum.
    PlainUdp(u16, u16, Vec<u8>),
    /// ICMP with type, code, everything behind the checksum (four bytes at least).
    Icmp4(u8, u8, Vec<u8>),
    /// ICMPv6 with type, code, everything behind the checksum (four bytes at least).
    Icmp6(u8, u8, Vec<u8>),
    /// Protocol number and bytes.
    Raw(u8, Vec<u8>),
}

impl Upper {
    /// Returns its IP protocol number.
    pub const fn protocol(&self) -> u8 {
        match self {
            Self::Tcp(..) => 6,
            Self::Udp(..) | Self::PlainUdp(..) => 17,
            Self::Icmp4(..) => 1,
            Self::Icmp6(..) => 58,
            Self::Raw(protocol, _) => *protocol,
        }
    }

    pub(super) const fn payload_mut(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Tcp(.., payload)
            | Self::Udp(.., payload)
            | Self::PlainUdp(.., payload)
            | Self::Icmp4(.., payload)
            | Self::Icmp6(.., payload)
            | Self::Raw(_, payload) => payload,
        }
    }

    pub(super) fn bytes(&self, addresses: Addresses) -> Vec<u8> {
        match self {
            Self::Tcp(source, destination, flags, payload) => {
                let mut header = TcpHeader::new(*source, *destination, 1000, 65_000);
                flags::set(&mut header, *flags);
                tcp(header, payload, addresses)
            }
            Self::Udp(source, destination, payload) => {
                let mut header = udp(*source, *destination, payload);
                header.checksum = udp_checksum(&header, payload, addresses);
                [&header.to_bytes(), payload.as_slice()].concat()
            }
            Self::PlainUdp(source, destination, payload) => {
                [&udp(*source, *destination, payload).to_bytes(), payload.as_slice()].concat()
            }
            Self::Icmp4(kind, code, rest) => icmp4(*kind, *code, rest),
            Self::Icmp6(kind, code, rest) => icmp6(*kind, *code, rest, addresses),
            Self::Raw(_, bytes) => bytes.clone(),
        }
    }
}

fn tcp(mut header: TcpHeader, payload: &[u8], addresses: Addresses) -> Vec<u8> {
    header.checksum = match addresses {
        Addresses::V4(s, d) => header.calc_checksum_ipv4_raw(s, d, payload),
        Addresses::V6(s, d) => header.calc_checksum_ipv6_raw(s, d, payload),
    }
    .expect("a payload of a packet's size");
    [header.to_bytes().as_slice(), payload].concat()
}

fn udp(source_port: u16, destination_port: u16, payload: &[u8]) -> UdpHeader {
    let length = (payload.len() + 8).try_into().expect("a payload of a packet's size");
    UdpHeader { source_port, destination_port, length, checksum: 0 }
}

fn udp_checksum(header: &UdpHeader, payload: &[u8], addresses: Addresses) -> u16 {
    match addresses {
        Addresses::V4(s, d) => header.calc_checksum_ipv4_raw(s, d, payload),
        Addresses::V6(s, d) => header.calc_checksum_ipv6_raw(s, d, payload),
    }
    .expect("a payload of a packet's size")
}

fn icmp4(type_u8: u8, code_u8: u8, rest: &[u8]) -> Vec<u8> {
    let (bytes5to8, payload) = rest.split_first_chunk().expect("four bytes at least");
    let kind = Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8: *bytes5to8 };
    [Icmpv4Header::with_checksum(kind, payload).to_bytes().as_slice(), payload].concat()
}

fn icmp6(type_u8: u8, code_u8: u8, rest: &[u8], addresses: Addresses) -> Vec<u8> {
    let Addresses::V6(source, destination) = addresses else { return Vec::new() };
    let (bytes5to8, payload) = rest.split_first_chunk().expect("four bytes at least");
    let kind = Icmpv6Type::Unknown { type_u8, code_u8, bytes5to8: *bytes5to8 };
    let header = Icmpv6Header::with_checksum(kind, source, destination, payload);
    [header.expect("a payload of a packet's size").to_bytes().as_slice(), payload].concat()
}
