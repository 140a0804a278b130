//! Neighbor Discovery (RFC 4861): Neighbor Solicitation and Neighbor Advertisement.

use super::ethernet;

/// ICMPv6 type and code of a Neighbor Solicitation.
pub const SOLICITATION: [u8; 2] = [135, 0];
/// ICMPv6 type and code of a Neighbor Advertisement.
pub const ADVERTISEMENT: [u8; 2] = [136, 0];
/// Bytes of both messages without options.
pub const MESSAGE: usize = 24;
/// Bytes of a link-layer address option of Ethernet.
pub const OPTION: usize = 8;
/// Bytes of an advertisement with the target's link-layer address.
pub const ADVERTISEMENT_LENGTH: usize = MESSAGE + OPTION;
/// Type and length of the option with the sender's Ethernet address.
pub const SOURCE_ADDRESS: [u8; 2] = [1, 1];
/// Type and length of the option with the target's Ethernet address.
pub const TARGET_ADDRESS: [u8; 2] = [2, 1];
/// Hop limit of all messages: a router in between would have decremented it.
pub const HOP_LIMIT: u8 = 255;
/// Flag of an advertisement: it answers a solicitation.
pub const SOLICITED: u8 = 1 << 6;
/// Flag of an advertisement: it replaces what is cached.
pub const OVERRIDE: u8 = 1 << 5;
/// All nodes on the link.
pub const ALL_NODES: [u8; 16] = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The first bytes of a solicited-node multicast address; the last three of the target follow.
pub const SOLICITED_NODE: [u8; 13] = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff];

/// Returns the solicited-node multicast address of an address (RFC 4291 section 2.7.1).
#[inline(always)]
pub const fn solicited_node(address: [u8; 16]) -> [u8; 16] {
    let [.., x, y, z] = address;
    [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z]
}

/// Returns the Ethernet address of an IPv6 multicast address (RFC 2464 section 7).
#[inline(always)]
pub const fn multicast_mac(address: [u8; 16]) -> [u8; 6] {
    let [.., a, b, c, d] = address;
    let [x, y] = ethernet::IPV6_MULTICAST;
    [x, y, a, b, c, d]
}
