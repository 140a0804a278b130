//! A packet for a VIP: whose is it, and how does it get there.

use super::{Family, Packet, configured, second};
use crate::flows::{self, Entry, FlowKey, Standing};
use crate::frame::Frame;
use crate::kernel::KernelAnswer;
use crate::maps::{Node, VIP_YOUNG, way};
use crate::owner::{self, Decision, Kind, Question, Vitality};
use crate::ring::{NO_NODE, NodeIndex, Slot};
use crate::tables::Tables;
use crate::verdict::{Forward, Outcome, Refusal};
use crate::vitality;
use crate::wire::{checksum, ethernet};

/// Offsets of TTL, header checksum and hop limit in their headers.
const V4_TTL: usize = 8;
const V6_HOP_LIMIT: usize = 7;

#[inline(always)]
pub(super) fn judge<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
) -> Result<Forward, Refusal> {
    let config = configured(tables)?;
    let slot = tables.slot(packet.slot).ok_or(Refusal::NoSlot)?;
    tables.count_vip(packet.vip, packet.length);
    packet.order = slot.order_word();
    packet.former = slot.former_word();
    if packet.asked.by_peer {
        packet.local = Outcome::Decapsulated;
        packet.entry = look_up(tables, packet);
        return frame.serve(tables, packet);
    }
    // What this node owns it serves, whoever leads the slot by now. A flow that is over may have a successor
    // of the same addresses and ports at the leader; what still comes of the old one finds its way back here.
    if packet.kind != Kind::Opening && owner::stands_in(slot, config.self_node) {
        packet.entry = look_up(tables, packet);
    }
    let own = flows::holder(packet.entry) == config.self_node && !flows::is_closed(packet.entry);
    // Nearly always the leader is alive, which is not worth a call.
    let node = match vitality::of(tables, slot.leader) {
        Vitality::Accepting => slot.leader,
        Vitality::Draining | Vitality::Dead => owner::candidate(slot, |node| tables.vitality(node)),
    };
    if node != config.self_node && !own {
        // A peer has chosen this node. To choose again, by a ring that differs from the peer's for a
        // moment, could send the packet back and forth.
        if !is_from_peer(frame, tables) {
            return send_first(frame, tables, packet, node);
        }
        packet.local = Outcome::LocalFromPeer;
        packet.entry = look_up(tables, packet);
    }
    frame.serve(tables, packet)
}

#[inline(always)]
fn look_up<T: Tables>(tables: &T, packet: &Packet) -> u32 {
    let key = FlowKey::of(packet.flow);
    tables.flow_set(key.set).map_or(0, |set| set.get_bits(key.tag))
}

/// The candidate's part: own the flow, or ask somebody else, or give the packet to the stack.
///
/// # Errors
/// As for [`super::judge`].
#[inline(always)]
pub fn serve<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
) -> Result<Forward, Refusal> {
    let config = configured(tables)?;
    let own = config.self_node;
    let slot = Slot::from_words(packet.order, packet.former);
    let mut holder = flows::holder(packet.entry);
    // Before anybody else is asked, or the client is told that nobody knows its flow.
    if holder == NO_NODE
        && matches!(packet.kind, Kind::Tcp | Kind::Closing)
        && frame.ask_kernel(tables, packet) == KernelAnswer::Has
    {
        holder = own;
        packet.local = Outcome::LocalByKernel;
    }
    let question = Question {
        slot,
        own,
        kind: packet.kind,
        holder,
        asked: packet.asked.count,
        young: packet.flags & VIP_YOUNG != 0,
    };
    let can_ask = |node: NodeIndex| {
        tables.vitality(node) != Vitality::Dead
            && (packet.asked.count == 0
                || tables.node(node).is_some_and(|node| !packet.asked.contains(node.id)))
    };
    match owner::decide(&question, can_ask, || tables.is_bereaved(slot)) {
        Decision::Own => {
            note(tables, packet, packet.entry, own);
            Ok(Forward::Pass(packet.local))
        }
        decision @ (Decision::Delegate(node) | Decision::Ask(node)) => {
            if decision == Decision::Delegate(node) {
                note(tables, packet, packet.entry, node);
            }
            ask(frame, tables, packet, node)
        }
        Decision::Orphan => Err(Refusal::Orphaned),
        Decision::Unknown => Ok(Forward::Pass(Outcome::Unowned)),
    }
}

/// A second chance with a node.
#[inline(always)]
fn ask<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
    node: NodeIndex,
) -> Result<Forward, Refusal> {
    let own_id = configured(tables)?.id;
    let to = tables.node(node).ok_or(Refusal::NoWay)?;
    let outcome = second::send(frame, tables, node, packet, own_id)?;
    tables.count_node(node, packet.length);
    Ok(out(frame, to, outcome))
}

/// Notes who has the flow, where that or its age is not what the table says already.
#[inline(always)]
fn note<T: Tables>(tables: &T, packet: &Packet, before: u32, node: NodeIndex) {
    // An error about a flow neither begins it nor keeps it alive.
    if packet.is_error {
        return;
    }
    let mut standing = packet.kind.standing();
    // After a FIN there are still segments to come; only a SYN opens the flow again.
    if packet.kind == Kind::Tcp && flows::is_closed(before) {
        standing = Standing::Closed;
    }
    let entry = Entry { node, standing, age: tables.flow_age() };
    if before == entry.to_bits() {
        return;
    }
    tables.note_flow(FlowKey::of(packet.flow), entry);
}

#[inline(always)]
fn is_from_peer<F: Frame, T: Tables>(frame: &F, tables: &T) -> bool {
    let Some(macs) = frame.view::<12>(0) else { return false };
    tables.peer_mac(&[macs[6], macs[7], macs[8], macs[9], macs[10], macs[11], 0, 0]).is_some()
}

/// The director's part: the first way to the candidate, without a list of who was asked.
#[inline(always)]
fn send_first<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &mut Packet,
    index: NodeIndex,
) -> Result<Forward, Refusal> {
    if index == NO_NODE {
        return Err(Refusal::NoLiveNode);
    }
    let node = tables.node(index).ok_or(Refusal::NoWay)?;
    let outcome = match node.way {
        way::L2 => {
            decrement_ttl(frame, packet)?;
            *frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)? = macs_to(node);
            Outcome::ForwardedL2
        }
        way::GUE4 | way::GUE6 => {
            frame.encapsulate(tables, index, packet)?;
            Outcome::ForwardedGue
        }
        way::IPIP4 | way::IPIP6 => {
            frame.encapsulate(tables, index, packet)?;
            Outcome::ForwardedIpip
        }
        _ => return Err(Refusal::NoWay),
    };
    tables.count_node(index, packet.length);
    Ok(out(frame, node, outcome))
}

/// Out by the interface that leads to the node.
#[inline(always)]
fn out<F: Frame>(frame: &F, node: &Node, outcome: Outcome) -> Forward {
    if node.ifindex == frame.ingress() {
        Forward::Transmit(outcome)
    } else {
        Forward::Redirect(outcome, node.ifindex)
    }
}

/// Destination and source MAC of a frame to the next hop of `node`.
#[inline(always)]
pub(super) const fn macs_to(node: &Node) -> [u8; ethernet::MACS] {
    let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (node.next_hop_mac, node.source_mac);
    [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5]
}

/// Forwarding is a hop, so a packet that two nodes pass to each other dies (RFC 1812 section 5.3.1,
/// RFC 8200 section 3).
#[inline(always)]
pub(super) fn decrement_ttl<F: Frame>(frame: &mut F, packet: &Packet) -> Result<(), Refusal> {
    match packet.family {
        Family::V4 => {
            // TTL, protocol, header checksum.
            let fields = frame.view_mut::<4>(packet.l3 + V4_TTL).ok_or(Refusal::Truncated)?;
            let [ttl, protocol, c0, c1] = *fields;
            if ttl <= 1 {
                return Err(Refusal::TtlExpired);
            }
            let [c0, c1] = checksum::update([c0, c1], [ttl, protocol], [ttl - 1, protocol]);
            *fields = [ttl - 1, protocol, c0, c1];
        }
        Family::V6 => {
            let [hop_limit] = frame.view_mut::<1>(packet.l3 + V6_HOP_LIMIT).ok_or(Refusal::Truncated)?;
            if *hop_limit <= 1 {
                return Err(Refusal::TtlExpired);
            }
            *hop_limit -= 1;
        }
    }
    Ok(())
}
