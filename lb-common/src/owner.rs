//! The owner rule: which node is a packet for, when rings change under the flows.
//!
//! A **director** is the first node that a packet reaches. It keeps no state about flows that are not its
//! own. A **candidate** is asked whether the flow is its own; if it is not, it asks another one that stands
//! in the slot, and says whom it and those before it have asked. So a packet ends after at most
//! [`MAX_ASKED`] nodes and cannot go round in a circle, also while nodes disagree about the ring.
//!
//! ```text
//! director ── word 0 ──► candidate ── not mine ──► former leader ── not mine ──► successor ── mine
//!                          │ notes: delegated
//! ```
//!
//! This module decides and touches nothing: what is known goes in as values, what is to be done comes out.

use crate::flows::Standing;
use crate::ring::{NO_NODE, NodeIndex, Slot};

/// Nodes that a packet may be asked of, the first candidate included.
pub const MAX_ASKED: usize = 6;

/// What a packet says of its flow's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP with SYN and without ACK: a new flow.
    Opening,
    /// TCP in between.
    Tcp,
    /// TCP with FIN or RST.
    Closing,
    /// UDP, which has neither beginning nor end.
    Udp,
}

impl Kind {
    /// The kind of a TCP segment by its flags byte.
    #[inline(always)]
    pub const fn of_tcp_flags(flags: u8) -> Self {
        const FIN: u8 = 1;
        const SYN: u8 = 2;
        const RST: u8 = 4;
        const ACK: u8 = 16;
        if flags & (SYN | ACK) == SYN {
            Self::Opening
        } else if flags & (FIN | RST) != 0 {
            Self::Closing
        } else {
            Self::Tcp
        }
    }

    /// The standing of a flow that this node has and that such a packet came for.
    #[inline(always)]
    pub const fn standing(self) -> Standing {
        match self {
            Self::Opening => Standing::HalfOpen,
            Self::Tcp | Self::Udp => Standing::Open,
            Self::Closing => Standing::Closed,
        }
    }
}

/// Whether a node can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vitality {
    /// It answers, and takes new flows.
    Accepting,
    /// It answers, and wants no new flows.
    Draining,
    /// It has not answered for too long.
    Dead,
}

/// What a director does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This node is the candidate.
    Here,
    /// That node is.
    To(NodeIndex),
    /// Nobody in the slot answers.
    Nobody,
}

/// What a candidate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The flow is this node's own, and is noted so.
    Own,
    /// It is, or becomes, noted as that node's, which is sent to.
    Delegate(NodeIndex),
    /// That node is asked, and nothing is noted: whose flow it is may be known only to a node that has just
    /// gone silent. What would be noted now, without anybody having said so, would lead the flow's packets
    /// past that node when it is back.
    Ask(NodeIndex),
    /// The flow's owner may be a node that has just gone silent: wait, in case it was a short absence.
    Orphan,
    /// Nobody knows the flow: the stack says so to the client, with a RST.
    Unknown,
}

/// Whether a node stands in a slot, as leader, successor or former leader.
#[inline(always)]
pub const fn stands_in(slot: Slot, node: NodeIndex) -> bool {
    has(slot.order_word(), node) || has(slot.former_word(), node)
}

/// Whether one of the four indices in a word is this one, found in all of them at once.
#[inline(always)]
const fn has(word: u64, node: NodeIndex) -> bool {
    const ONES: u64 = 0x0001_0001_0001_0001;
    const TOPS: u64 = 0x8000_8000_8000_8000;
    // Where they are equal nothing is left, and to take one from nothing borrows from the top.
    let differs = word ^ (node as u64 * ONES);
    differs.wrapping_sub(ONES) & !differs & TOPS != 0
}

/// What a director does with a packet that is not of a flow that it owns itself: the first node of word 0
/// that takes new flows; if none does, the first that answers at all.
///
/// A draining node is passed over for every packet, not for SYNs alone: its old flows find it again through
/// the candidate, which knows it as a former leader or successor. So two directors of which one has not yet
/// heard of the drain come to the same owner.
///
/// The answer is [`NO_NODE`] where nobody in the slot answers.
#[inline(always)]
pub fn candidate(slot: Slot, vitality: impl Fn(NodeIndex) -> Vitality) -> NodeIndex {
    let [a, b, c] = slot.successors;
    let mut fallback = NO_NODE;
    for node in [slot.leader, a, b, c] {
        if node == NO_NODE {
            break;
        }
        match vitality(node) {
            Vitality::Accepting => return node,
            Vitality::Draining if fallback == NO_NODE => fallback = node,
            Vitality::Draining | Vitality::Dead => {}
        }
    }
    fallback
}

/// [`candidate`], seen from the node `own`.
pub fn direct(slot: Slot, own: NodeIndex, vitality: impl Fn(NodeIndex) -> Vitality) -> Direction {
    match candidate(slot, vitality) {
        NO_NODE => Direction::Nobody,
        node if node == own => Direction::Here,
        node => Direction::To(node),
    }
}

/// What a candidate knows when a packet is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The slot of the flow, as this node has it.
    pub slot: Slot,
    /// This node.
    pub own: NodeIndex,
    /// What the packet says.
    pub kind: Kind,
    /// Who has the flow, as the table says, or [`NO_NODE`].
    pub holder: NodeIndex,
    /// How many nodes have been asked before this one.
    pub asked: usize,
    /// This node has come to the head of this ring so recently that UDP flows may still live elsewhere.
    pub young: bool,
}

/// What a candidate does. `can_ask` says of a node whether it answers and has not been asked; it is never
/// called for this node itself. `bereaved` says whether a node of this slot has gone silent so recently that it
/// may be back at once; it is called only where the table does not name a node that can be asked.
#[inline(always)]
pub fn decide(
    question: &Question,
    can_ask: impl Fn(NodeIndex) -> bool,
    bereaved: impl Fn() -> bool,
) -> Decision {
    let Question { slot, own, kind, holder, asked, .. } = *question;
    if kind == Kind::Opening {
        return Decision::Own;
    }
    let may_ask = asked + 1 < MAX_ASKED;
    if holder == own {
        return Decision::Own;
    }
    if holder != NO_NODE && may_ask && can_ask(holder) {
        return Decision::Delegate(holder);
    }
    let bereaved = bereaved();
    if holder != NO_NODE && kind != Kind::Udp && bereaved {
        // The others need not know whose the flow is, nor that this one has just gone silent: one of them
        // would take it for nobody's.
        return Decision::Orphan;
    }
    if may_ask && (kind != Kind::Udp || question.young) {
        let next = next_to_ask(slot, own, kind, can_ask);
        if next != NO_NODE {
            return if bereaved { Decision::Ask(next) } else { Decision::Delegate(next) };
        }
    }
    match kind {
        Kind::Udp => Decision::Own,
        _ if bereaved => Decision::Orphan,
        _ => Decision::Unknown,
    }
}

/// The leader, former leaders, newest first, and successors.
///
/// A node that is asked need not lead the slot in its own view: then the leader in that view, which was passed over
/// or is not known to whoever sent the packet, is the likeliest to own the flow or to know who does.
#[inline(always)]
fn next_to_ask(slot: Slot, own: NodeIndex, kind: Kind, can_ask: impl Fn(NodeIndex) -> bool) -> NodeIndex {
    let is_next = |node: NodeIndex| node != NO_NODE && node != own && can_ask(node);
    if is_next(slot.leader) {
        return slot.leader;
    }
    for node in slot.former {
        if is_next(node) {
            return node;
        }
    }
    // Of leader and successors, a datagram asks one.
    let mut left = if kind == Kind::Udp { u8::from(slot.leader == own) } else { 3 };
    for node in slot.successors {
        if node == NO_NODE || node == own || left == 0 {
            continue;
        }
        left -= 1;
        if can_ask(node) {
            return node;
        }
    }
    NO_NODE
}

#[cfg(test)]
mod tests;
