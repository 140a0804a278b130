//! Decapsulation of GUE and IP in IP: only from nodes of the cluster, and only with an inner packet for a
//! VIP.
//!
//! GUE carries a tag that only nodes can make. IP in IP is only identified by its source address, so it is
//! accepted only if configured.
//!
//! GUE of a node with any other inner packet is dropped, because the program owns that port between nodes. IP
//! in IP passes: the host may have tunnels of its own, also to other nodes. GUE of other senders passes.

use lb_common::hash::HashKey;
use lb_common::maps::{CONFIG_IPIP, Config, v4_mapped};
use lb_common::ring::NodeIndex;
use lb_common::tag::{self, GueWords};
use lb_common::verdict::{Fate, Refusal};
use lb_common::wire::gue::MAX_ASKED;
use lb_common::wire::ip::{self, Family, protocol};
use lb_common::wire::{ethernet, gue};

use crate::class::PacketClass;
use crate::fragment::note_fragment;
use crate::frame::Frame;
use crate::owner::MARK_LAST;
use crate::packet::{AskedNodes, PacketInfo};
use crate::tables::{Tables, configured};

/// No EtherType: the packet passes unmodified.
pub(crate) const NOT_OURS: [u8; 2] = [0; 2];

/// Finds the inner packet and sets [`PacketInfo::l3`] to its header. The packet is not modified yet, because
/// the inner packet may not be for a VIP. Returns its EtherType, or [`NOT_OURS`].
#[inline(always)]
pub(crate) fn find<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &mut PacketInfo,
    tunnel: PacketClass,
) -> Result<[u8; 2], Refusal> {
    let config = configured(tables)?;
    if tunnel == PacketClass::Ipip && config.flags & CONFIG_IPIP == 0 {
        return Ok(NOT_OURS);
    }
    match sender(frame, tables, config, packet) {
        Sender::Node(_) => {}
        // A reply to a query of this node may arrive at any local port, also that of GUE.
        Sender::Unknown | Sender::NotToUs => return Ok(NOT_OURS),
    }
    packet.asked.by_node = true;
    let inner =
        if tunnel == PacketClass::Gue { find_in_gue(frame, packet)? } else { find_in_ip(frame, packet) };
    packet.l3 += packet.outer;
    Ok(inner)
}

#[inline(always)]
fn find_in_gue<F: Frame>(frame: &F, packet: &mut PacketInfo) -> Result<[u8; 2], Refusal> {
    let header = gue_header(frame, packet)?;
    let words = (header[0] & gue::OPTIONAL_WORDS) as usize;
    packet.outer = packet.l4 + ip::UDP_HEADER + gue::HEADER + words * 4 - packet.l3;
    let asked = words.wrapping_sub(gue::TAG_WORDS);
    if words < gue::TAG_WORDS {
        return Err(Refusal::BadTag);
    }
    if asked >= MAX_ASKED || packet.outer as u32 > packet.length {
        return Err(Refusal::BadGue);
    }
    read_tag(frame, packet)?;
    read_asked(frame, packet, asked)?;
    Ok(ether_type(header[1]))
}

#[inline(always)]
fn find_in_ip<F: Frame>(frame: &F, packet: &mut PacketInfo) -> [u8; 2] {
    packet.outer = packet.l4 - packet.l3;
    let sound = packet.outer as u32 <= packet.length && frame.holds(packet.l3, packet.length);
    if sound { ether_type(packet.protocol as u8) } else { NOT_OURS }
}

#[inline(always)]
const fn ether_type(number: u8) -> [u8; 2] {
    if number == protocol::IPV4 { ethernet::IPV4 } else { ethernet::IPV6 }
}

/// Removes the outer headers, once the inner packet is known to be for a VIP.
#[inline(always)]
pub(crate) fn open<F: Frame>(frame: &mut F, packet: &mut PacketInfo) -> Result<(), Refusal> {
    let by = packet.outer;
    packet.l3 -= by;
    // A later fragment has no transport header; its offset is never used.
    packet.l4 = packet.l4.wrapping_sub(by);
    cut(frame, packet, by, packet.family.ether_type())
}

/// The sender of a packet.
pub(crate) enum Sender {
    /// A node of the cluster, to this node.
    Node(NodeIndex),
    /// Another host, to this node.
    Unknown,
    /// The packet is not for this node's address.
    NotToUs,
}

/// Returns the sender of an IP packet.
#[inline(always)]
pub(crate) fn sender<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    config: &Config,
    packet: &PacketInfo,
) -> Sender {
    let known = match packet.family {
        Family::V4 => {
            let Some(header) = frame.view::<{ ip::V4_HEADER }>(packet.l3) else {
                return Sender::NotToUs;
            };
            let destination = [header[16], header[17], header[18], header[19]];
            if destination != config.address4 || destination == [0; 4] {
                return Sender::NotToUs;
            }
            let source = [header[12], header[13], header[14], header[15]];
            tables.node_by_address(&v4_mapped(source))
        }
        Family::V6 => {
            let Some(to) = frame.view::<16>(packet.l3 + ip::v6::DESTINATION) else {
                return Sender::NotToUs;
            };
            let own = u128::from_ne_bytes(config.address6);
            if u128::from_ne_bytes(*to) != own || own == 0 {
                return Sender::NotToUs;
            }
            frame.view::<16>(packet.l3 + ip::v6::SOURCE).and_then(|source| tables.node_by_address(source))
        }
    };
    known.map_or(Sender::Unknown, Sender::Node)
}

/// Returns the four bytes of GUE, if they announce an IP packet.
#[inline(always)]
fn gue_header<F: Frame>(frame: &F, packet: &PacketInfo) -> Result<[u8; gue::HEADER], Refusal> {
    if !frame.holds(packet.l3, packet.length) {
        return Err(Refusal::BadGue);
    }
    let header = *frame.view::<{ gue::HEADER }>(packet.l4 + ip::UDP_HEADER).ok_or(Refusal::BadGue)?;
    let known = header[1] == protocol::IPV4 || header[1] == protocol::IPV6;
    if known && header[0] & gue::VERSION_AND_CONTROL == 0 { Ok(header) } else { Err(Refusal::BadGue) }
}

/// Reads the private data in front of the list of nodes asked.
#[inline(always)]
fn read_tag<F: Frame>(frame: &F, packet: &mut PacketInfo) -> Result<(), Refusal> {
    let at = packet.l4 + ip::UDP_HEADER + gue::HEADER;
    let [key, marks, home, zero, tag @ ..] = *frame.view::<8>(at).ok_or(Refusal::BadGue)?;
    // Marks for local use never arrive.
    if zero != 0 || u32::from(marks) & MARK_LAST != 0 {
        return Err(Refusal::BadTag);
    }
    packet.tag_key = u32::from(key);
    packet.tag = u32::from_be_bytes(tag);
    packet.asked.trail.marks = u32::from(marks);
    packet.asked.trail.home = u32::from(home);
    Ok(())
}

/// Returns whether the tag of a packet in GUE is valid. The inner packet has been read: the tag covers its
/// flow. A first fragment is recorded only after this.
#[inline(always)]
pub fn authenticate<F: Frame, T: Tables>(frame: &F, tables: &T, packet: &PacketInfo) -> bool {
    let Some(config) = tables.config() else { return false };
    let Some(key) = config.tag_key(packet.tag_key as u8) else { return false };
    if packet.tag != tag_of(&key, packet, packet.tag_key as u8, config.id) {
        return false;
    }
    if packet.is_first_fragment {
        note_fragment(frame, tables, packet);
    }
    true
}

/// Returns the tag of a packet in GUE with the key of this ID, for the node of this wire ID.
#[inline(always)]
pub(crate) fn tag_of(key: &HashKey, packet: &PacketInfo, id: u8, receiver: u32) -> u32 {
    let AskedNodes { trail, count, ids, .. } = &packet.asked;
    let head = [id, trail.marks as u8, trail.home as u8, 0];
    tag::gue_tag(key, &GueWords { head, receiver, name: packet.name, asked: ids, count: *count })
}

#[inline(always)]
fn read_asked<F: Frame>(frame: &F, packet: &mut PacketInfo, words: usize) -> Result<(), Refusal> {
    let list = packet.l4 + ip::UDP_HEADER + gue::HEADER + gue::TAG_WORDS * 4;
    packet.asked.count = words;
    for (place, id) in packet.asked.ids.iter_mut().enumerate() {
        if place < words {
            *id = u32::from_be_bytes(*frame.view::<4>(list + place * 4).ok_or(Refusal::BadGue)?);
        }
    }
    Ok(())
}

/// Turns a refusal that passes into one that drops: the stack must not get GUE of a node with an unreadable
/// inner packet.
#[inline(always)]
pub(crate) fn drop_unreadable(refusal: Refusal) -> Refusal {
    match refusal.fate() {
        Fate::Pass => Refusal::BadGue,
        Fate::Drop => refusal,
    }
}

/// Removes `by` bytes behind the Ethernet header, which moves with its tags.
#[inline(always)]
fn cut<F: Frame>(frame: &mut F, packet: &PacketInfo, by: usize, ether_type: [u8; 2]) -> Result<(), Refusal> {
    // Read, move, write: a copy within the packet would be a memmove, which the verifier cannot follow.
    let head = *frame.view::<{ ethernet::MACS + 2 * ethernet::TAG }>(0).ok_or(Refusal::Truncated)?;
    if !frame.move_head(by as i32) {
        return Err(Refusal::NoHeadroom);
    }
    let [macs @ .., a0, a1, a2, a3, b0, b1, b2, b3] = head;
    *frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)? = macs;
    if packet.type_at > ethernet::MACS {
        *frame.view_mut::<{ ethernet::TAG }>(ethernet::MACS).ok_or(Refusal::Truncated)? = [a0, a1, a2, a3];
    }
    if packet.type_at > ethernet::MACS + ethernet::TAG {
        let second = ethernet::MACS + ethernet::TAG;
        *frame.view_mut::<{ ethernet::TAG }>(second).ok_or(Refusal::Truncated)? = [b0, b1, b2, b3];
    }
    *frame.view_mut::<2>(packet.type_at).ok_or(Refusal::Truncated)? = ether_type;
    Ok(())
}
