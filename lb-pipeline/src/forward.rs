//! Forwarding of a packet for a VIP: the owner of its flow, and how to reach it.

use lb_common::flows::{self, FlowEntry, FlowKey, FlowState};
use lb_common::forwarding::ForwardingMode;
use lb_common::kernel::KernelAnswer;
use lb_common::maps::VIP_NEW_LEADER;
use lb_common::ring::{NO_NODE, NodeIndex, leader_of, nodes_of};
use lb_common::verdict::{Outcome, Refusal};
use lb_common::wire::ethernet;

use crate::encapsulate;
use crate::hop::{decrement_ttl, macs_to, out};
use crate::liveness;
use crate::owner::{
    self, CandidateAction, Decision, LivenessState, Lookups, MARK_LAST, MARK_UNKNOWN, PacketKind, Question,
    SlotRange,
};
use crate::packet::PacketInfo;
use crate::second_chance;
use crate::sources;
use crate::subprograms::{Subprograms, TableSubprograms};
use crate::tables::configured;
use crate::verdict::{Forward, Verdict};

#[inline(always)]
pub(crate) fn forward<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Verdict {
    let config = configured(tables)?;
    sources::check(frame, tables, packet)?;
    let order = tables.order(packet.slot).ok_or(Refusal::NoSlot)?;
    tables.count_vip(packet.vip, packet.length);
    if packet.asked.by_node {
        packet.local = Outcome::Decapsulated;
        packet.entry = look_up(tables, packet);
        return frame.serve(tables, packet);
    }
    // Nearly always the leader is alive, which needs no call.
    let node = match liveness::liveness_of(tables, leader_of(order)) {
        LivenessState::Accepting => leader_of(order),
        LivenessState::Draining | LivenessState::Leaving | LivenessState::Dead => {
            owner::candidate(nodes_of(order), |node| tables.liveness_state(node))
        }
    };
    if node != config.self_node {
        // A node that has never led the slot owns no flow of it and skips the table.
        if tables.has_led(packet.slot, config.self_node) && is_own(frame, tables, packet, config.self_node) {
            return frame.serve(tables, packet);
        }
        // Another node chose this one. Choosing again, by a ring that differs for a moment, could send the
        // packet back and forth.
        if !is_from_peer(frame, tables) {
            return send_first(frame, tables, packet, node);
        }
        packet.local = Outcome::LocalFromNode;
    }
    packet.entry = look_up(tables, packet);
    frame.serve(tables, packet)
}

/// Returns whether this node owns the flow without leading the slot: then it serves it without a detour. A
/// closed flow may have a successor with the same addresses and ports at the leader, as may one that the
/// kernel does not have.
#[inline(always)]
fn is_own<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
    own: NodeIndex,
) -> bool {
    if packet.kind == PacketKind::Opening {
        return false;
    }
    packet.entry = look_up(tables, packet);
    flows::holder(packet.entry) == own
        && flows::is_confirmed(packet.entry)
        && !flows::is_closed(packet.entry)
        && (packet.kind == PacketKind::Udp || frame.ask_kernel(tables, packet) != KernelAnswer::Absent)
}

#[inline(always)]
fn look_up<T: TableSubprograms>(tables: &T, packet: &PacketInfo) -> u32 {
    let key = FlowKey::of(packet.flow);
    tables.flow_set(key.set).map_or(0, |set| set.get_bits(key.tag))
}

/// The lookups of a packet, for [`owner::decide`].
struct PacketLookups<'a, F, T> {
    frame: &'a F,
    tables: &'a T,
    packet: &'a PacketInfo,
}

impl<F: Subprograms, T: TableSubprograms> Lookups for PacketLookups<'_, F, T> {
    #[inline(always)]
    fn can_ask(&self, node: NodeIndex) -> bool {
        self.frame.can_ask(self.tables, self.packet, node)
    }

    #[inline(always)]
    fn find(&self, part: SlotRange) -> NodeIndex {
        self.frame.find_to_ask(self.tables, self.packet, part)
    }

    #[inline(always)]
    fn has_recent_death(&self) -> bool {
        self.tables.has_recent_death(self.packet.slot)
    }

    #[inline(always)]
    fn kernel(&self) -> KernelAnswer {
        self.frame.ask_kernel(self.tables, self.packet)
    }
}

/// Returns whether a node can be asked for the packet ([`owner::can_ask`]), and has not been asked yet.
#[inline(always)]
pub fn can_ask<T: TableSubprograms>(tables: &T, packet: &PacketInfo, node: NodeIndex) -> bool {
    owner::can_ask(tables.liveness_state(node), packet.kind, flows::state(packet.entry))
        && (packet.asked.count == 0 || tables.node(node).is_some_and(|node| !packet.asked.contains(node.id)))
}

/// Calls [`owner::find`] in the packet's slot.
#[inline(always)]
pub fn find_to_ask<T: TableSubprograms>(
    tables: &T,
    packet: &PacketInfo,
    part: SlotRange,
    can_ask: impl Fn(NodeIndex) -> bool,
) -> NodeIndex {
    // The slot last: other lookups in between would be followed with and without a slot.
    let Some(config) = tables.config() else { return NO_NODE };
    let Some(slot) = tables.slot(packet.slot) else { return NO_NODE };
    owner::find(slot, config.self_node, packet.kind, part, can_ask)
}

/// Acts as the candidate: owns the flow, asks another node, or passes the packet to the stack.
///
/// # Errors
/// As [`crate::judge_slow`].
#[inline(always)]
pub fn serve<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Verdict {
    let own = configured(tables)?.self_node;
    let slot = tables.slot(packet.slot).ok_or(Refusal::NoSlot)?;
    let holder = flows::holder(packet.entry);
    packet.asked.trail = packet.asked.trail.arrived(slot, own, holder, packet.asked.count);
    let question = Question {
        slot,
        own,
        kind: packet.kind,
        holder,
        state: flows::state(packet.entry),
        settled: flows::age(packet.entry) != tables.flow_age(),
        asked: packet.asked.count,
        marks: packet.asked.trail.marks,
        new_leader: packet.flags & VIP_NEW_LEADER != 0,
    };
    let Decision { action, node, state } = owner::decide(&question, &PacketLookups { frame, tables, packet });
    match action {
        CandidateAction::Own => {
            if holder == NO_NODE && matches!(packet.kind, PacketKind::Tcp | PacketKind::Closing) {
                packet.local = Outcome::LocalByKernel;
            }
            note(tables, packet, own, state);
            Ok(Forward::Pass(packet.local))
        }
        CandidateAction::Delegate | CandidateAction::Ask => {
            if action == CandidateAction::Delegate {
                note(tables, packet, node, state);
            }
            ask(frame, tables, packet, node)
        }
        CandidateAction::Return => give_back(frame, tables, packet),
        CandidateAction::Search => {
            note(tables, packet, node, state);
            Err(Refusal::Searching)
        }
        CandidateAction::Hold => Err(Refusal::Hold),
        CandidateAction::Unknown => {
            note(tables, packet, own, state);
            Ok(Forward::Pass(Outcome::Unowned))
        }
    }
}

/// Sends the packet to a node as a second chance.
#[inline(always)]
fn ask<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
    node: NodeIndex,
) -> Verdict {
    let own_id = configured(tables)?.id;
    let to = tables.node(node).ok_or(Refusal::NoNextHop)?;
    packet.asked.trail = packet.asked.trail.going_on(flows::state(packet.entry), packet.asked.count);
    packet.node = node;
    let outcome = second_chance::send(frame, tables, node, packet, own_id)?;
    tables.count_node(node, packet.length);
    Ok(out(frame, to, outcome))
}

/// Returns the packet to its home, because no node knows the flow.
#[inline(always)]
fn give_back<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
) -> Verdict {
    let home = tables.find_node(packet.slot, packet.asked.home_id());
    if home == NO_NODE || tables.liveness_state(home) == LivenessState::Dead {
        return Err(Refusal::NoHome);
    }
    if packet.asked.trail.marks & MARK_LAST != 0 {
        // A smaller packet goes in GUE, which lists the home.
        let node = tables.node(home).ok_or(Refusal::NoNextHop)?;
        return Err(encapsulate::too_big(node, packet));
    }
    packet.asked.trail.marks |= MARK_UNKNOWN;
    ask(frame, tables, packet, home)
}

/// Records the holder and state of the flow, unless the table already has them with the current age.
#[inline(always)]
fn note<T: TableSubprograms>(tables: &T, packet: &PacketInfo, node: NodeIndex, state: FlowState) {
    // An error about a flow neither opens it nor keeps it alive.
    if packet.is_error {
        return;
    }
    let entry = FlowEntry { node, state, age: tables.flow_age() };
    if packet.entry != entry.to_bits() {
        tables.note_flow(packet, entry);
    }
}

#[inline(always)]
fn is_from_peer<F: Subprograms, T: TableSubprograms>(frame: &F, tables: &T) -> bool {
    let Some(macs) = frame.view::<12>(0) else { return false };
    let source = [macs[6], macs[7], macs[8], macs[9], macs[10], macs[11], 0, 0];
    let may_be = tables.config().is_some_and(|config| config.node_macs.may_hold(u64::from_le_bytes(source)));
    may_be && tables.node_by_mac(&source).is_some()
}

/// Acts as the director: sends the packet to the candidate, without a list of nodes asked.
#[inline(always)]
fn send_first<F: Subprograms, T: TableSubprograms>(
    frame: &mut F,
    tables: &T,
    packet: &mut PacketInfo,
    index: NodeIndex,
) -> Verdict {
    if index == NO_NODE {
        return Err(Refusal::NoLiveNode);
    }
    packet.node = index;
    let node = tables.node(index).ok_or(Refusal::NoNextHop)?;
    let outcome = match node.forwarding_mode().ok_or(Refusal::NoNextHop)? {
        ForwardingMode::L2 => {
            decrement_ttl(frame, packet)?;
            *frame.view_mut::<{ ethernet::MACS }>(0).ok_or(Refusal::Truncated)? = macs_to(node);
            Outcome::ForwardedL2
        }
        ForwardingMode::Gue => {
            frame.encapsulate(tables, index, packet)?;
            Outcome::ForwardedGue
        }
        ForwardingMode::Ipip => {
            frame.encapsulate(tables, index, packet)?;
            Outcome::ForwardedIpip
        }
    };
    tables.count_node(index, packet.length);
    Ok(out(frame, node, outcome))
}
