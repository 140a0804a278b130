//! The fast path. It handles unfragmented TCP and UDP over IPv4 without options or IPv6 without extension
//! headers, with at most one VLAN tag, if the packet is for a VIP whose slot another node leads or whose flow
//! this node owns, or for no VIP.
//!
//! Every field has a fixed offset from the IP header, so two bounds checks suffice, and every lookup is an
//! array access. A packet that needs more is declined before anything is modified or counted, and takes the
//! slow path. The fast path is a subset of the slow path: each packet that it handles gets the same verdict,
//! bytes and counters there. The host model checks this for every packet of every test.

use lb_common::flows::{FlowEntry, FlowKey, FlowState};
use lb_common::forwarding::ForwardingMode;
use lb_common::hash::{FlowPorts, flow_hash_v4, flow_hash_v6};
use lb_common::maps::{Config, Node, VIP_AFFINITY, VIP_SOURCES, Vip, Vip4Key, Vip6Key};
use lb_common::ring::NO_NODE;
use lb_common::tag::{GueWords, gue_tag};
use lb_common::verdict::Outcome;
use lb_common::wire::gue::MAX_ASKED;
use lb_common::wire::ip::{self, protocol};
use lb_common::wire::word::{get2, get4, get8, put4, put8};
use lb_common::wire::{ethernet, gue};

use crate::class::PacketClass;
use crate::frame::Frame;
use crate::hop::out;
use crate::liveness;
use crate::outer::{GUE, Gue, Outer, write_gue, write_v4, write_v6};
use crate::owner::{LivenessState, PacketKind};
use crate::tables::Tables;
use crate::verdict::{Forward, NOT_OURS, Verdict};

/// Maximum bytes in front of the IP header.
const FRONT: usize = ethernet::HEADER + ethernet::TAG;
const V4: usize = ip::V4_HEADER + ip::TCP_HEADER;
const V6: usize = ip::V6_HEADER + ip::TCP_HEADER;

/// EtherTypes as words.
const IPV4: u16 = u16::from_le_bytes(ethernet::IPV4);
const IPV6: u16 = u16::from_le_bytes(ethernet::IPV6);

/// Why the fast path ends early.
enum Exit {
    /// The packet takes the slow path.
    Declined,
    /// The destination is no VIP and no port of this node.
    NotOurs,
}

/// A packet for a VIP.
struct VipPacket {
    /// Its VIP.
    vip: Vip,
    /// Flow hash: identifies the flow and selects the slot.
    hash: u64,
    /// Bytes of the IP packet.
    length: u32,
    /// Protocol number of this packet inside a tunnel.
    family: u8,
    /// TTL or hop limit.
    ttl: u8,
    /// Traffic class.
    class: u8,
    kind: PacketKind,
}

/// What remains of the Ethernet header.
struct Place {
    /// Offset of the IP header.
    l3: usize,
    /// The four bytes behind the MAC addresses: the VLAN tag if `l3` leaves room for one.
    tag: u32,
}

/// Processes a packet, or declines it. A declined packet is unmodified and uncounted.
#[inline(always)]
pub fn judge_fast<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Option<Verdict> {
    let front = frame.view::<FRONT>(0)?;
    let destination = get8(front, 0) & ethernet::MAC_MASK;
    let (mut ether_type, mut l3) = (get2(front, 12), ethernet::HEADER);
    if ethernet::is_tag(ether_type.to_le_bytes()) {
        (ether_type, l3) = (get2(front, 16), FRONT);
    }
    let config = tables.config()?;
    let mac = config.uplink_mac(frame.ingress())?;
    if config.self_node == NO_NODE {
        return None;
    }
    let is_here = mac == destination;
    let seen = match ether_type {
        IPV4 if is_here => read_v4(frame, tables, config, l3),
        IPV6 if is_here => read_v6(frame, tables, config, l3),
        // To a group: it may be a Neighbor Solicitation.
        IPV6 if destination & 1 != 0 => return None,
        IPV4 | IPV6 => return Some(NOT_OURS),
        _ => return None,
    };
    let seen = match seen {
        Ok(seen) => seen,
        Err(Exit::NotOurs) => return Some(NOT_OURS),
        Err(Exit::Declined) => return None,
    };
    let slot = seen.vip.ring.wrapping_add(seen.hash as u32 & seen.vip.mask);
    let slot_leader = tables.leader(slot)?;
    let leader = slot_leader.leader();
    if leader == config.self_node {
        return own(tables, &seen, leader).then_some(Ok(Forward::Pass(Outcome::Local)));
    }
    // Read everything in front of the IP header now: moving the frame's start invalidates it.
    let front = frame.view::<FRONT>(0)?;
    let (source, tag) = (get8(front, 4) >> 16, get4(front, ethernet::MACS));
    if liveness::liveness_of(tables, leader) != LivenessState::Accepting
        || slot_leader.has_led()
        || config.node_macs.may_hold(source)
    {
        return None;
    }
    let node = tables.node(leader)?;
    let outcome = send(frame, config, node, &seen, Place { l3, tag })?;
    tables.count_vip(seen.vip.number, seen.length);
    tables.count_node(leader, seen.length);
    Some(Ok(out(frame, node, outcome)))
}

#[inline(always)]
fn read_v4<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    config: &Config,
    l3: usize,
) -> Result<VipPacket, Exit> {
    let header = frame.view::<V4>(l3).ok_or(Exit::Declined)?;
    let (shape, part, life) = (get4(header, 0), get4(header, 4), get4(header, 8));
    let protocol = (life >> 8) as u8;
    // Version and length; more-fragments bit and offset.
    if shape & 0xff != 0x45 || part & 0xff3f_0000 != 0 || !matches!(protocol, protocol::TCP | protocol::UDP) {
        return Err(Exit::Declined);
    }
    let (source, destination) = (get4(header, 12).to_le_bytes(), get4(header, 16).to_le_bytes());
    let ports = get4(header, 20).to_le_bytes();
    if !config.vips.may_hold4(destination) {
        return Err(missed(protocol, ports));
    }
    let key = Vip4Key::port(destination, [ports[2], ports[3]], protocol);
    let vip = tables.bucket_vip4(&key).ok_or(Exit::Declined)?;
    let hash = flow_hash_v4(&config.flow_keys, source, destination, FlowPorts { ports, protocol });
    let length = u32::from(((shape >> 16) as u16).swap_bytes());
    let kind = kind(protocol, header[ip::V4_HEADER + ip::TCP_FLAGS]);
    let class = (shape >> 8) as u8;
    let seen = VipPacket { vip, hash, length, family: protocol::IPV4, ttl: life as u8, class, kind };
    checked(frame, seen, l3, ip::V4_HEADER as u32 + ip::transport_header(protocol))
}

#[inline(always)]
fn read_v6<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    config: &Config,
    l3: usize,
) -> Result<VipPacket, Exit> {
    let header = frame.view::<V6>(l3).ok_or(Exit::Declined)?;
    let (shape, life) = (get4(header, 0), get4(header, 4));
    let protocol = (life >> 16) as u8;
    if shape & 0xf0 != 0x60 || !matches!(protocol, protocol::TCP | protocol::UDP) {
        return Err(Exit::Declined);
    }
    let address = |at| {
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) =
            (get8(header, at).to_le_bytes(), get8(header, at + 8).to_le_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    };
    let (source, destination) = (address(8), address(24));
    let ports = get4(header, ip::V6_HEADER).to_le_bytes();
    if !config.vips.may_hold6(destination) {
        return Err(missed(protocol, ports));
    }
    let key = Vip6Key::port(destination, [ports[2], ports[3]], protocol);
    let vip = tables.bucket_vip6(&key).ok_or(Exit::Declined)?;
    let hash = flow_hash_v6(&config.flow_keys, &source, &destination, FlowPorts { ports, protocol });
    let length = ip::V6_HEADER as u32 + u32::from((life as u16).swap_bytes());
    let kind = kind(protocol, header[ip::V6_HEADER + ip::TCP_FLAGS]);
    let [first, second, ..] = shape.to_le_bytes();
    let class = first << 4 | second >> 4;
    let seen = VipPacket { vip, hash, length, family: protocol::IPV6, ttl: (life >> 24) as u8, class, kind };
    checked(frame, seen, l3, ip::V6_HEADER as u32 + ip::transport_header(protocol))
}

/// A packet whose destination is no VIP. Tunnels, S-BFD and BFD to this node take the slow path.
#[inline(always)]
fn missed(protocol: u8, ports: [u8; 4]) -> Exit {
    if protocol == protocol::UDP && PacketClass::udp(ports) != PacketClass::Nothing {
        Exit::Declined
    } else {
        Exit::NotOurs
    }
}

/// Declines a packet whose length is inconsistent, or whose VIP has session affinity or source ranges.
#[inline(always)]
fn checked<F: Frame>(frame: &F, seen: VipPacket, l3: usize, shortest: u32) -> Result<VipPacket, Exit> {
    let holds = l3 + seen.length as usize <= frame.linear_len();
    if holds && seen.length >= shortest && seen.vip.flags & (VIP_AFFINITY | VIP_SOURCES) == 0 {
        Ok(seen)
    } else {
        Err(Exit::Declined)
    }
}

#[inline(always)]
fn kind(protocol: u8, flags: u8) -> PacketKind {
    if protocol == protocol::UDP { PacketKind::Udp } else { PacketKind::of_tcp_flags(flags) }
}

/// Returns whether the flow table already has the entry that this packet would write: owned by this node,
/// which leads the slot, confirmed, and of the current age. Counts the packet if so.
#[inline(always)]
fn own<T: Tables>(tables: &T, seen: &VipPacket, own: u16) -> bool {
    let state = match seen.kind {
        PacketKind::Tcp => FlowState::Open,
        PacketKind::Udp => FlowState::Udp,
        PacketKind::Opening | PacketKind::Closing => return false,
    };
    let key = FlowKey::of(seen.hash);
    let Some(set) = tables.flow_set(key.set) else { return false };
    let entry = FlowEntry { node: own, state, age: tables.flow_age() };
    let is_known = set.get_bits(key.tag) == entry.to_bits();
    if is_known {
        tables.count_vip(seen.vip.number, seen.length);
    }
    is_known
}

/// Rewrites the packet for the next hop to a node. `None` leaves it unmodified.
#[inline(always)]
fn send<F: Frame>(
    frame: &mut F,
    config: &Config,
    node: &Node,
    seen: &VipPacket,
    place: Place,
) -> Option<Outcome> {
    let is_v4 = node.outer_family == 4;
    let outer = if is_v4 { ip::V4_HEADER } else { ip::V6_HEADER };
    let (room, outcome) = match node.forwarding_mode()? {
        ForwardingMode::L2 => (0, Outcome::ForwardedL2),
        ForwardingMode::Gue => (outer + GUE, Outcome::ForwardedGue),
        ForwardingMode::Ipip => (outer, Outcome::ForwardedIpip),
    };
    let fits = room == 0 || seen.length + room as u32 <= u32::from(node.mtu);
    if seen.ttl <= 1 || !fits {
        return None;
    }
    let Place { l3, tag } = place;
    if room != 0 && !frame.move_head(-(room as i32)) {
        return None;
    }
    decrement_ttl(frame, seen, l3 + room);
    if room != 0 {
        let is_bare = matches!(outcome, Outcome::ForwardedIpip);
        let number = if is_bare { seen.family } else { protocol::UDP };
        let VipPacket { length: inner, class, hash, .. } = *seen;
        let outer = Outer { at: l3, class, number, inner, room, hash };
        // The headroom has just been made.
        let _ = if is_v4 { write_v4(frame, node, &outer) } else { write_v6(frame, node, &outer) };
        if !is_bare {
            let _ = write_gue(frame, &first_gue(config, node, seen, l3 + room - GUE));
        }
        if let Some(front) = frame.view_mut::<FRONT>(0)
            && l3 == FRONT
        {
            put4(front, ethernet::MACS, tag);
        }
        if let Some(kind) = frame.view_mut::<2>(l3 - 2) {
            *kind = if is_v4 { ethernet::IPV4 } else { ethernet::IPV6 };
        }
    }
    if let Some(front) = frame.view_mut::<{ ethernet::MACS }>(0) {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (node.next_hop_mac, node.source_mac);
        put8(front, 0, u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        put4(front, 8, u32::from_le_bytes([i, j, k, l]));
    }
    Some(outcome)
}

/// Returns UDP and GUE of a packet for which no node has been asked.
#[inline(always)]
fn first_gue(config: &Config, node: &Node, seen: &VipPacket, at: usize) -> Gue {
    let ([key, _], [id, _]) = (&config.tag_keys, config.tag_key_ids);
    let (head, receiver, flow) = ([id, 0, 0, 0], node.id, seen.hash);
    let tag = gue_tag(key, &GueWords { head, receiver, name: flow, asked: &[0; MAX_ASKED - 1], count: 0 });
    let (length, words) = (seen.length + GUE as u32, gue::TAG_WORDS);
    Gue { at, flow, length, words, inner: seen.family, head, tag }
}

#[inline(always)]
fn decrement_ttl<F: Frame>(frame: &mut F, seen: &VipPacket, l3: usize) {
    if seen.family == protocol::IPV4 {
        let Some(header) = frame.view_mut::<{ ip::V4_HEADER }>(l3) else { return };
        let life = ip::with_ttl(get4(header, ip::v4::TTL).to_le_bytes(), seen.ttl - 1);
        put4(header, ip::v4::TTL, u32::from_le_bytes(life));
    } else if let Some([hop_limit]) = frame.view_mut::<1>(l3 + ip::v6::HOP_LIMIT) {
        *hop_limit = seen.ttl - 1;
    }
}
