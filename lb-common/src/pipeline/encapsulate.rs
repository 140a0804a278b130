//! GUE in front of a packet: outer IP, UDP 6080, four bytes of GUE, eight that say that a node of the cluster has sent
//! it, four more for each node that has been asked; or outer IP alone, where that is the way to the node and nobody has been asked yet.
//!
//! ```text
//! before    | MACs | tags | type | inner …
//! GUE       | MACs | tags | type | outer IP | UDP | GUE | key, marks, home, 0 | tag | asked … | inner …
//! IP in IP  | MACs | tags | type | outer IP | inner …
//! ```

use super::decapsulate::tag_of;
use super::deliver::{decrement_ttl, macs_to};
use super::{Family, Packet};
use crate::frame::Frame;
use crate::maps::{Node, way};
use crate::ring::NodeIndex;
use crate::tables::Tables;
use crate::verdict::Refusal;
use crate::wire::ip::{self, protocol};
use crate::wire::{checksum, ethernet, gue};

const UDP_AND_GUE: usize = ip::UDP_HEADER + gue::HEADER;
/// Bytes in front of the list of those asked.
const IN_FRONT: usize = UDP_AND_GUE + gue::TAG_WORDS * 4;
/// Bytes of a node's wire identity in the list of those asked.
const ID: usize = 4;

/// Whether the packet goes to the node right in IP.
#[inline(always)]
const fn is_bare(node: &Node, packet: &Packet) -> bool {
    matches!(node.way, way::IPIP4 | way::IPIP6) && packet.asked.count == 0
}

/// Bytes of UDP, GUE and the list.
#[inline(always)]
const fn tunnel_bytes(node: &Node, packet: &Packet) -> usize {
    if is_bare(node, packet) { 0 } else { IN_FRONT + packet.asked.count * ID }
}

#[inline(always)]
const fn outer_header(node: &Node) -> usize {
    if node.outer_family == 4 { ip::V4_HEADER } else { ip::V6_HEADER }
}

/// Bytes of the whole encapsulation.
#[inline(always)]
const fn overhead(node: &Node, packet: &Packet) -> usize {
    outer_header(node) + tunnel_bytes(node, packet)
}

/// Whether the packet with its encapsulation fits the way to the node.
#[inline(always)]
pub(super) fn fits(node: &Node, packet: &Packet) -> bool {
    packet.length + overhead(node, packet) as u32 <= u32::from(node.mtu)
}

/// The refusal of a packet that does not fit; what would have fitted is noted.
#[inline(always)]
pub(super) fn too_big(node: &Node, packet: &mut Packet) -> Refusal {
    packet.path_mtu = u32::from(node.mtu).saturating_sub(overhead(node, packet) as u32);
    Refusal::TooBig
}

/// Makes the tag with which the packet goes to a node in GUE. Before [`encapsulate`] and not in it, whose stack would
/// not have room for both.
#[inline(always)]
pub fn sign<T: Tables>(tables: &T, node: NodeIndex, packet: &mut Packet) {
    let (Some(config), Some(node)) = (tables.config(), tables.node(node)) else { return };
    if is_bare(node, packet) {
        return;
    }
    let ([key, _], [key_id, _]) = (&config.tag_keys, config.tag_key_ids);
    packet.tag_key = u32::from(key_id);
    packet.tag = tag_of(key, packet, key_id, node.id);
}

/// Encapsulates the packet on its way to a node. [`sign`] has been called for the same node.
///
/// # Errors
/// [`Refusal::NoWay`], [`Refusal::TooBig`], [`Refusal::TtlExpired`]: the packet is as it was.
/// [`Refusal::NoHeadroom`], [`Refusal::Truncated`]: it is not.
#[inline(always)]
pub fn encapsulate<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    node: NodeIndex,
    packet: &mut Packet,
) -> Result<(), Refusal> {
    let node = tables.node(node).ok_or(Refusal::NoWay)?;
    if !fits(node, packet) {
        return Err(too_big(node, packet));
    }
    decrement_ttl(frame, packet)?;
    let class = traffic_class(frame, packet)?;
    let ether_type = if node.outer_family == 4 { ethernet::IPV4 } else { ethernet::IPV6 };
    let bytes = overhead(node, packet);
    make_room(frame, packet, Room { macs: macs_to(node), ether_type, bytes })?;
    if node.outer_family == 4 {
        write_v4(frame, node, packet, class)?;
    } else {
        write_v6(frame, node, packet, class)?;
    }
    if is_bare(node, packet) {
        return Ok(());
    }
    write_udp_and_gue(frame, packet, packet.l3 + outer_header(node), tunnel_bytes(node, packet))
}

/// Protocol number of what is inside.
#[inline(always)]
const fn inner_protocol(packet: &Packet) -> u8 {
    match packet.family {
        Family::V4 => protocol::IPV4,
        Family::V6 => protocol::IPV6,
    }
}

/// Protocol number in the outer header.
#[inline(always)]
const fn outer_protocol(node: &Node, packet: &Packet) -> u8 {
    if is_bare(node, packet) { inner_protocol(packet) } else { protocol::UDP }
}

#[inline(always)]
fn write_v4<F: Frame>(frame: &mut F, node: &Node, packet: &Packet, class: u8) -> Result<(), Refusal> {
    let length = packet.length + overhead(node, packet) as u32;
    let [l0, l1] = (length as u16).to_be_bytes();
    let number = outer_protocol(node, packet);
    // The node's sum is with the number of UDP.
    let sum = node.outer_sum.wrapping_sub(u32::from(protocol::UDP)).wrapping_add(u32::from(number));
    let [c0, c1] = checksum::finish(sum + u32::from(class) + length);
    let [f0, f1] = gue::OUTER_V4_FRAGMENT;
    let first = [0x45, class, l0, l1, 0, 0, f0, f1, ip::DEFAULT_TTL, number, c0, c1];
    let ([s0, s1, s2, s3, ..], [d0, d1, d2, d3, ..]) = (node.outer_source, node.outer_destination);
    *frame.view_mut::<12>(packet.l3).ok_or(Refusal::NoHeadroom)? = first;
    *frame.view_mut::<8>(packet.l3 + 12).ok_or(Refusal::NoHeadroom)? = [s0, s1, s2, s3, d0, d1, d2, d3];
    Ok(())
}

#[inline(always)]
fn write_v6<F: Frame>(frame: &mut F, node: &Node, packet: &Packet, class: u8) -> Result<(), Refusal> {
    let [l0, l1] = ((packet.length + tunnel_bytes(node, packet) as u32) as u16).to_be_bytes();
    // The flow label carries the flow's entropy for fabrics that hash it (RFC 6438).
    let label = packet.hash.to_le_bytes();
    let first = [
        0x60 | (class >> 4),
        (class << 4) | (label[5] & 0x0f),
        label[6],
        label[7],
        l0,
        l1,
        outer_protocol(node, packet),
        ip::DEFAULT_TTL,
    ];
    *frame.view_mut::<8>(packet.l3).ok_or(Refusal::NoHeadroom)? = first;
    // As numbers: from one memory to another the compiler copies bytes one by one.
    let [source, destination] = [node.outer_source, node.outer_destination].map(u128::from_ne_bytes);
    *frame.view_mut::<16>(packet.l3 + 8).ok_or(Refusal::NoHeadroom)? = source.to_ne_bytes();
    *frame.view_mut::<16>(packet.l3 + 24).ok_or(Refusal::NoHeadroom)? = destination.to_ne_bytes();
    Ok(())
}

/// DSCP and ECN of the inner packet, which the outer one takes over (RFC 6040 section 4.1).
#[inline(always)]
fn traffic_class<F: Frame>(frame: &F, packet: &Packet) -> Result<u8, Refusal> {
    let [first, second] = *frame.view::<2>(packet.l3).ok_or(Refusal::Truncated)?;
    Ok(match packet.family {
        Family::V4 => second,
        Family::V6 => (first << 4) | (second >> 4),
    })
}

/// Room to be made behind an Ethernet header, and what is new in that.
pub(super) struct Room {
    /// Destination and source.
    pub(super) macs: [u8; 12],
    /// What is to be in the room.
    pub(super) ether_type: [u8; 2],
    /// How much there is to be.
    pub(super) bytes: usize,
}

/// Moves the Ethernet header, with its tags, to the front.
#[inline(always)]
pub(super) fn make_room<F: Frame>(frame: &mut F, packet: &Packet, room: Room) -> Result<(), Refusal> {
    let tags = *frame.view::<{ 2 * ethernet::TAG }>(ethernet::MACS).ok_or(Refusal::Truncated)?;
    if !frame.move_head(-(room.bytes as i32)) {
        return Err(Refusal::NoHeadroom);
    }
    *frame.view_mut::<12>(0).ok_or(Refusal::NoHeadroom)? = room.macs;
    // With fewer tags than two this writes too much; the type and what follows then go over it.
    *frame.view_mut::<{ 2 * ethernet::TAG }>(ethernet::MACS).ok_or(Refusal::NoHeadroom)? = tags;
    *frame.view_mut::<2>(packet.type_at).ok_or(Refusal::NoHeadroom)? = room.ether_type;
    Ok(())
}

#[inline(always)]
fn write_udp_and_gue<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    at: usize,
    bytes: usize,
) -> Result<(), Refusal> {
    let entropy = (packet.flow >> 32) as u16 & !gue::SOURCE_PORT_BASE;
    let [s0, s1] = (gue::SOURCE_PORT_BASE | entropy).to_be_bytes();
    let [l0, l1] = ((packet.length + bytes as u32) as u16).to_be_bytes();
    let inner = inner_protocol(packet);
    // No UDP checksum: the inner packet has its own (RFC 6935 for IPv6).
    let words = (gue::TAG_WORDS + packet.asked.count) as u8;
    let header = [s0, s1, gue::PORT[0], gue::PORT[1], l0, l1, 0, 0, words, inner, 0, 0];
    *frame.view_mut::<UDP_AND_GUE>(at).ok_or(Refusal::NoHeadroom)? = header;
    let [t0, t1, t2, t3] = packet.tag.to_be_bytes();
    let trail = packet.asked.trail;
    let front = [packet.tag_key as u8, trail.marks as u8, trail.home as u8, 0, t0, t1, t2, t3];
    *frame.view_mut::<8>(at + UDP_AND_GUE).ok_or(Refusal::NoHeadroom)? = front;
    for (place, id) in packet.asked.ids.into_iter().enumerate() {
        if place < packet.asked.count {
            let word = frame.view_mut::<ID>(at + IN_FRONT + place * ID).ok_or(Refusal::NoHeadroom)?;
            *word = id.to_be_bytes();
        }
    }
    Ok(())
}
