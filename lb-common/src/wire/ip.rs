//! IPv4 (RFC 791), IPv6 (RFC 8200) and the transport headers behind them.

use super::{checksum, ethernet};

/// Bytes of an IPv4 header without options.
pub const V4_HEADER: usize = 20;
/// Bytes of an IPv6 header.
pub const V6_HEADER: usize = 40;
/// Bytes of a UDP header.
pub const UDP_HEADER: usize = 8;
/// Bytes of a TCP header without options.
pub const TCP_HEADER: usize = 20;

/// Bytes of an SCTP common header and the header of the first chunk behind it (RFC 9260 section 3).
pub const SCTP_HEADER: usize = 16;

/// Offset of the flags in a TCP header.
pub const TCP_FLAGS: usize = 13;
/// Offset of the first chunk's type in an SCTP packet.
pub const SCTP_CHUNK_TYPE: usize = 12;

/// TTL and hop limit of packets that the program makes.
pub const DEFAULT_TTL: u8 = 64;

/// Offsets in an IPv4 header.
pub mod v4 {
    /// TTL, protocol and header checksum.
    pub const TTL: usize = 8;
    /// Source address.
    pub const SOURCE: usize = 12;
    /// Destination address.
    pub const DESTINATION: usize = 16;
    /// More-fragments bit and fragment offset, in the two bytes at offset 6.
    pub const FRAGMENT: u16 = 0x3fff;
    /// Fragment offset alone.
    pub const FRAGMENT_OFFSET: u16 = 0x1fff;
}

/// Offsets in an IPv6 header.
pub mod v6 {
    /// Hop limit.
    pub const HOP_LIMIT: usize = 7;
    /// Source address.
    pub const SOURCE: usize = 8;
    /// Destination address.
    pub const DESTINATION: usize = 24;
}

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Returns the EtherType.
    #[inline(always)]
    pub const fn ether_type(self) -> [u8; 2] {
        match self {
            Self::V4 => ethernet::IPV4,
            Self::V6 => ethernet::IPV6,
        }
    }

    /// Returns the protocol number of such a packet inside another.
    #[inline(always)]
    pub const fn protocol(self) -> u8 {
        match self {
            Self::V4 => protocol::IPV4,
            Self::V6 => protocol::IPV6,
        }
    }
}

/// Returns TTL, protocol and header checksum of an IPv4 header with another TTL.
#[inline(always)]
pub const fn with_ttl([ttl, protocol, c0, c1]: [u8; 4], new: u8) -> [u8; 4] {
    let [c0, c1] = checksum::update([c0, c1], [ttl, protocol], [new, protocol]);
    [new, protocol, c0, c1]
}

/// Returns whether an IPv4 source can be answered: not 0/8, loopback, multicast and broadcast.
#[inline(always)]
pub const fn is_answerable_v4([first, ..]: [u8; 4]) -> bool {
    first != 0 && first != 127 && first < 224
}

/// IP protocol numbers.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Returns the minimum transport header of a packet for a VIP.
#[inline(always)]
pub const fn transport_header(protocol: u8) -> u32 {
    match protocol {
        protocol::TCP => TCP_HEADER as u32,
        protocol::SCTP => SCTP_HEADER as u32,
        _ => UDP_HEADER as u32,
    }
}

/// Returns whether Services have ports of this protocol; its header begins with source and destination port.
#[inline(always)]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP)
}
