//! Encapsulation in GUE: outer IP, UDP 6080, four bytes of GUE, eight that authenticate the sender, and four
//! for each node asked. In mode `ipip`, packets for which no node has been asked get the outer IP header
//! alone.
//!
//! ```text
//! before    | MACs | tags | type | inner …
//! GUE       | MACs | tags | type | outer IP | UDP | GUE | key, marks, home, 0 | tag | asked … | inner …
//! IP in IP  | MACs | tags | type | outer IP | inner …
//! ```

use lb_common::forwarding::ForwardingMode;
use lb_common::maps::Node;
use lb_common::ring::NodeIndex;
use lb_common::verdict::Refusal;
use lb_common::wire::ip::{self, Family, protocol};
use lb_common::wire::{ethernet, gue};

use crate::decapsulate::tag_of;
use crate::frame::Frame;
use crate::hop::{decrement_ttl, macs_to};
use crate::outer::{GUE, Gue, Outer, write_gue, write_v4, write_v6};
use crate::packet::PacketInfo;
use crate::tables::Tables;

/// Bytes of a wire ID in the list of nodes asked.
const ID: usize = 4;

/// Returns whether the packet gets an outer IP header alone.
#[inline(always)]
const fn is_bare(node: &Node, packet: &PacketInfo) -> bool {
    node.mode == ForwardingMode::Ipip as u8 && packet.asked.count == 0
}

/// Returns the bytes of UDP, GUE and the list.
#[inline(always)]
const fn tunnel_bytes(node: &Node, packet: &PacketInfo) -> usize {
    if is_bare(node, packet) { 0 } else { GUE + packet.asked.count * ID }
}

#[inline(always)]
const fn outer_header(node: &Node) -> usize {
    if node.outer_family == 4 { ip::V4_HEADER } else { ip::V6_HEADER }
}

/// Returns the bytes of the whole encapsulation.
#[inline(always)]
const fn overhead(node: &Node, packet: &PacketInfo) -> usize {
    outer_header(node) + tunnel_bytes(node, packet)
}

/// Returns whether the encapsulated packet fits the MTU of the path.
#[inline(always)]
pub(crate) fn fits(node: &Node, packet: &PacketInfo) -> bool {
    packet.length + overhead(node, packet) as u32 <= u32::from(node.mtu)
}

/// Returns the refusal of a packet that does not fit, and records the MTU that it exceeds.
#[inline(always)]
pub(crate) fn too_big(node: &Node, packet: &mut PacketInfo) -> Refusal {
    packet.path_mtu = u32::from(node.mtu).saturating_sub(overhead(node, packet) as u32);
    Refusal::TooBig
}

/// Makes the tag of a packet to a node in GUE. Not in [`encapsulate`], whose stack has no room for both.
#[inline(always)]
pub fn sign<T: Tables>(tables: &T, node: NodeIndex, packet: &mut PacketInfo) {
    let (Some(config), Some(node)) = (tables.config(), tables.node(node)) else { return };
    if is_bare(node, packet) {
        return;
    }
    let ([key, _], [key_id, _]) = (&config.tag_keys, config.tag_key_ids);
    packet.tag_key = u32::from(key_id);
    packet.tag = tag_of(key, packet, key_id, node.id);
}

/// Encapsulates a packet to a node. [`sign`] has been called for the same node.
///
/// # Errors
/// [`Refusal::NoNextHop`], [`Refusal::TooBig`], [`Refusal::TtlExpired`]: the packet is as it was.
/// [`Refusal::NoHeadroom`], [`Refusal::Truncated`]: it is not.
#[inline(always)]
pub fn encapsulate<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    node: NodeIndex,
    packet: &mut PacketInfo,
) -> Result<(), Refusal> {
    let node = tables.node(node).ok_or(Refusal::NoNextHop)?;
    if !fits(node, packet) {
        return Err(too_big(node, packet));
    }
    decrement_ttl(frame, packet)?;
    let class = traffic_class(frame, packet)?;
    let ether_type = if node.outer_family == 4 { ethernet::IPV4 } else { ethernet::IPV6 };
    let bytes = overhead(node, packet);
    make_headroom(frame, packet, Headroom { macs: macs_to(node), ether_type, bytes })?;
    let number = outer_protocol(node, packet);
    let outer = Outer { at: packet.l3, class, number, inner: packet.length, room: bytes, hash: packet.hash };
    let written =
        if node.outer_family == 4 { write_v4(frame, node, &outer) } else { write_v6(frame, node, &outer) };
    written.ok_or(Refusal::NoHeadroom)?;
    if is_bare(node, packet) {
        return Ok(());
    }
    write_gue_and_asked(frame, packet, packet.l3 + outer_header(node), tunnel_bytes(node, packet))
}

/// Returns the protocol number in the outer header.
#[inline(always)]
const fn outer_protocol(node: &Node, packet: &PacketInfo) -> u8 {
    if is_bare(node, packet) { packet.family.protocol() } else { protocol::UDP }
}

/// Returns DSCP and ECN of the inner packet, which the outer one copies (RFC 6040 section 4.1).
#[inline(always)]
fn traffic_class<F: Frame>(frame: &F, packet: &PacketInfo) -> Result<u8, Refusal> {
    let [first, second] = *frame.view::<2>(packet.l3).ok_or(Refusal::Truncated)?;
    Ok(match packet.family {
        Family::V4 => second,
        Family::V6 => (first << 4) | (second >> 4),
    })
}

/// Headroom to make behind an Ethernet header, and the new fields of that header.
pub(crate) struct Headroom {
    /// Destination and source MAC.
    pub(crate) macs: [u8; 12],
    /// EtherType of the new packet.
    pub(crate) ether_type: [u8; 2],
    /// Bytes of headroom.
    pub(crate) bytes: usize,
}

/// Moves the Ethernet header, with its tags, to the front.
#[inline(always)]
pub(crate) fn make_headroom<F: Frame>(
    frame: &mut F,
    packet: &PacketInfo,
    room: Headroom,
) -> Result<(), Refusal> {
    let tags = *frame.view::<{ 2 * ethernet::TAG }>(ethernet::MACS).ok_or(Refusal::Truncated)?;
    if !frame.move_head(-(room.bytes as i32)) {
        return Err(Refusal::NoHeadroom);
    }
    *frame.view_mut::<12>(0).ok_or(Refusal::NoHeadroom)? = room.macs;
    // With fewer than two tags this writes too much, which the EtherType and the next header overwrite.
    *frame.view_mut::<{ 2 * ethernet::TAG }>(ethernet::MACS).ok_or(Refusal::NoHeadroom)? = tags;
    *frame.view_mut::<2>(packet.type_at).ok_or(Refusal::NoHeadroom)? = room.ether_type;
    Ok(())
}

#[inline(always)]
fn write_gue_and_asked<F: Frame>(
    frame: &mut F,
    packet: &PacketInfo,
    at: usize,
    bytes: usize,
) -> Result<(), Refusal> {
    let trail = packet.asked.trail;
    let gue = Gue {
        at,
        flow: packet.flow,
        length: packet.length + bytes as u32,
        words: gue::TAG_WORDS + packet.asked.count,
        inner: packet.family.protocol(),
        head: [packet.tag_key as u8, trail.marks as u8, trail.home as u8, 0],
        tag: packet.tag,
    };
    write_gue(frame, &gue).ok_or(Refusal::NoHeadroom)?;
    for (place, id) in packet.asked.ids.into_iter().enumerate() {
        if place < packet.asked.count {
            let word = frame.view_mut::<ID>(at + GUE + place * ID).ok_or(Refusal::NoHeadroom)?;
            *word = id.to_be_bytes();
        }
    }
    Ok(())
}
