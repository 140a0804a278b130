//! The outer headers of a tunnel, written by both paths.

use lb_common::maps::Node;
use lb_common::wire::ip::{self, protocol};
use lb_common::wire::word::{put4, put8};
use lb_common::wire::{checksum, gue};

use crate::frame::Frame;

/// UDP, GUE and a tag: all of GUE in front of the list of nodes asked.
pub(crate) const GUE: usize = ip::UDP_HEADER + gue::HEADER + 4 * gue::TAG_WORDS;

/// An outer IP header.
pub(crate) struct Outer {
    /// Its offset.
    pub(crate) at: usize,
    /// Traffic class, copied from the inner packet (RFC 6040 section 4.1).
    pub(crate) class: u8,
    /// Protocol number of what follows.
    pub(crate) number: u8,
    /// Bytes of the inner IP packet.
    pub(crate) inner: u32,
    /// Bytes of the whole encapsulation.
    pub(crate) room: usize,
    /// Flow hash: the flow label carries its entropy for fabrics that hash it (RFC 6438).
    pub(crate) hash: u64,
}

/// Writes an outer IPv4 header. Returns `None` if the frame is too short.
#[inline(always)]
pub(crate) fn write_v4<F: Frame>(frame: &mut F, node: &Node, outer: &Outer) -> Option<()> {
    let header = frame.view_mut::<{ ip::V4_HEADER }>(outer.at)?;
    let total = outer.inner + outer.room as u32;
    // The node's sum includes the protocol number of UDP.
    let sum = node.outer_sum.wrapping_sub(u32::from(protocol::UDP)).wrapping_add(u32::from(outer.number));
    let check = u16::from_le_bytes(checksum::finish(sum + u32::from(outer.class) + total));
    let [f0, f1] = gue::OUTER_V4_FRAGMENT;
    let ([a, b, c, d, ..], [e, f, g, h, ..]) = (node.outer_source, node.outer_destination);
    put4(header, 0, 0x45 | u32::from(outer.class) << 8 | u32::from((total as u16).swap_bytes()) << 16);
    put4(header, 4, u32::from_le_bytes([0, 0, f0, f1]));
    put4(header, 8, u32::from_le_bytes([ip::DEFAULT_TTL, outer.number, 0, 0]) | u32::from(check) << 16);
    put4(header, 12, u32::from_le_bytes([a, b, c, d]));
    put4(header, 16, u32::from_le_bytes([e, f, g, h]));
    Some(())
}

/// Writes an outer IPv6 header. Returns `None` if the frame is too short.
#[inline(always)]
pub(crate) fn write_v6<F: Frame>(frame: &mut F, node: &Node, outer: &Outer) -> Option<()> {
    let header = frame.view_mut::<{ ip::V6_HEADER }>(outer.at)?;
    let length = (outer.inner as usize + outer.room - ip::V6_HEADER) as u16;
    let [_, _, _, _, _, label, l0, l1] = outer.hash.to_le_bytes();
    let (number, class) = (u32::from(outer.number), outer.class);
    put4(header, 0, u32::from_le_bytes([0x60 | class >> 4, class << 4 | label & 0x0f, l0, l1]));
    put4(header, 4, u32::from(length.swap_bytes()) | number << 16 | u32::from(ip::DEFAULT_TTL) << 24);
    for (at, address) in [(8, node.outer_source), (24, node.outer_destination)] {
        let words = u128::from_le_bytes(address);
        put8(header, at, words as u64);
        put8(header, at + 8, (words >> 64) as u64);
    }
    Some(())
}

/// UDP and GUE in front of the list of nodes asked.
pub(crate) struct Gue {
    /// Offset of the UDP header.
    pub(crate) at: usize,
    /// Identifies the flow; its entropy is the source port.
    pub(crate) flow: u64,
    /// Bytes of UDP header and payload.
    pub(crate) length: u32,
    /// 32-bit words of private data.
    pub(crate) words: usize,
    /// Protocol number of the inner packet.
    pub(crate) inner: u8,
    /// The first word of the private data: key ID, marks, home, zero.
    pub(crate) head: [u8; 4],
    /// The tag.
    pub(crate) tag: u32,
}

/// Writes UDP and GUE. Returns `None` if the frame is too short.
#[inline(always)]
pub(crate) fn write_gue<F: Frame>(frame: &mut F, outer: &Gue) -> Option<()> {
    let header = frame.view_mut::<GUE>(outer.at)?;
    let entropy = (outer.flow >> 32) as u16 & !gue::SOURCE_PORT_BASE;
    let source = (gue::SOURCE_PORT_BASE | entropy).swap_bytes();
    put4(header, 0, u32::from(source) | u32::from(u16::from_le_bytes(gue::PORT)) << 16);
    // No UDP checksum: the inner packet has its own (RFC 6935 for IPv6).
    put4(header, 4, u32::from((outer.length as u16).swap_bytes()));
    put4(header, 8, u32::from_le_bytes([outer.words as u8, outer.inner, 0, 0]));
    put4(header, 12, u32::from_le_bytes(outer.head));
    put4(header, 16, outer.tag.swap_bytes());
    Some(())
}
