//! The owner rule: the node of a packet while rings change.
//!
//! A **director** is the first node that a packet reaches. It keeps no state about flows of other nodes. A
//! **candidate** is asked whether it owns the flow; if not, it asks another node of the slot and passes on
//! the list of nodes asked. A packet of an unknown flow returns to its **home**, whose kernel decides: the
//! node that has just taken the flow's SYN, else the first node asked that leads the slot.
//!
//! ```text
//! director ── word 0 ──► candidate ── unknown ──► former leader ── unknown ──► successor ── unknown ──┐
//!                          ▲ leads the slot: home                                                     │
//!                          └──────────────────────────── unknown ─────────────────────────────────────┘
//! ```
//!
//! So the flow table is a cache: a flow at its home needs no entry, and one that has moved is found by a node
//! with its entry or its connection. At most [`MAX_ASKED`] nodes are asked for a packet, and none twice, also
//! while nodes disagree about the ring. A slot with more former leaders is searched in windows of [`WINDOW`]:
//! with each packet of an unknown flow, home asks the next window.
//!
//! This module only decides: it takes what is known as values, and returns what to do.

use lb_common::flows::FlowState;
use lb_common::kernel::KernelAnswer;
use lb_common::maps::Liveness;
use lb_common::ring::{FORMER, NO_NODE, NodeIndex, Slot, nodes_of};
use lb_common::wire::gue::MAX_ASKED;

/// Nodes of a slot asked for one packet besides its candidate.
pub const WINDOW: usize = MAX_ASKED - 1;

/// [`Question::marks`]: no node asked knows the flow; this node is its home and decides.
pub const MARK_UNKNOWN: u32 = 1;
/// [`Question::marks`]: home, the first node asked, has seen a SYN of the flow, and asks whether another node
/// owns an older flow. Home stays there even if another node leads the slot in its own view: no other stack
/// knows the connection that opens.
pub const MARK_OPENING: u32 = 2;
/// [`Question::marks`]: home leads the slot in its own view. Without it, home is only the first node asked.
pub const MARK_LED: u32 = 4;
/// [`Question::marks`]: only the last of the nodes asked is known, so no other can be asked, and home cannot
/// be reached. Never on the wire.
pub const MARK_LAST: u32 = 8;
/// [`Question::marks`]: this node leads the slot, and no node asked before does: it is home itself. Never on
/// the wire, where marks have eight bits.
pub const MARK_HERE: u32 = 0x100;
/// Marks whose upper bits hold the number of the window that is searched.
pub const MARK_WINDOW_SHIFT: u32 = 4;

/// The kind of a packet: what it does to the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// TCP with SYN and without ACK, or SCTP INIT: opens a flow.
    Opening,
    /// TCP or SCTP of an open flow.
    Tcp,
    /// TCP with FIN or RST, or SCTP that ends an association: closes a flow.
    Closing,
    /// UDP, which neither opens nor closes a flow.
    Udp,
}

impl PacketKind {
    /// Returns the kind of a TCP segment by its flags.
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

    /// Returns the kind of an SCTP packet by the type of its first chunk (RFC 9260 section 3.2). INIT, ABORT
    /// and SHUTDOWN COMPLETE are never bundled behind others, except an ABORT behind DATA, which leaves an
    /// entry to age.
    #[inline(always)]
    pub const fn of_sctp_chunk(kind: u8) -> Self {
        const INIT: u8 = 1;
        const ABORT: u8 = 6;
        const SHUTDOWN_ACK: u8 = 8;
        const SHUTDOWN_COMPLETE: u8 = 14;
        match kind {
            INIT => Self::Opening,
            ABORT | SHUTDOWN_ACK | SHUTDOWN_COMPLETE => Self::Closing,
            _ => Self::Tcp,
        }
    }
}

/// The liveness state of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LivenessState {
    /// Alive, and takes new flows.
    Accepting,
    /// Alive, but takes no new flows.
    Draining,
    /// Draining, and about to be shut down: it is not asked whether it owns a flow that begins elsewhere.
    Leaving,
    /// It has not answered within the limit.
    Dead,
}

impl LivenessState {
    /// Every state, by its number.
    pub(crate) const ALL: [Self; 4] = [Self::Accepting, Self::Draining, Self::Leaving, Self::Dead];

    /// Returns the state of a node by its cell, the probe clock, and the silence after which it is dead.
    #[inline(always)]
    pub const fn of(cell: Liveness, clock: u32, limit: u32) -> Self {
        if cell.silence(clock) >= limit {
            Self::Dead
        } else if cell.is_leaving() {
            Self::Leaving
        } else if cell.is_draining() {
            Self::Draining
        } else {
            Self::Accepting
        }
    }

    /// Returns its name in statuses: `alive`, `draining` or `dead`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepting => "alive",
            Self::Draining | Self::Leaving => "draining",
            Self::Dead => "dead",
        }
    }
}

/// The decision of a director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This node is the candidate.
    Here,
    /// That node is the candidate.
    To(NodeIndex),
    /// No node of the slot is alive.
    NoNode,
}

/// The action of a candidate. All fields of a [`Decision`] are set for every action: the verifier rejects
/// copies of values that some path leaves undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CandidateAction {
    /// This node owns the flow and records it in [`Decision::state`].
    Own,
    /// The packet goes to [`Decision::node`], and the flow is recorded as that node's in [`Decision::state`].
    Delegate,
    /// [`Decision::node`] is asked, and nothing is recorded: home records it, or only a node that died
    /// recently may know the owner.
    Ask,
    /// No node is left to ask: the packet returns to home, with [`MARK_UNKNOWN`].
    Return,
    /// No node in this window knows the flow. [`Decision::node`], the first of the next window, is recorded,
    /// and the packet is dropped: the next packet of the client asks there.
    Search,
    /// The owner may be a node that died recently and may come back: the packet is dropped.
    Hold,
    /// No node knows the flow: the stack of home answers. It is recorded, so that the next packet asks no
    /// node.
    Unknown,
}

/// The decision of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The action.
    pub action: CandidateAction,
    /// The node that it concerns, or this node.
    pub node: NodeIndex,
    /// The state to record, if any.
    pub state: FlowState,
}

/// Returns the node to which a director sends a packet of a flow that it does not own: the first node of word
/// 0 that takes new flows; else the first one alive; else [`NO_NODE`].
///
/// A draining node is skipped for every packet, not only for SYNs: the candidate knows it as a former leader
/// or successor and finds its flows. So two directors find the same owner if only one of them knows of the
/// drain.
///
/// Draining and dead nodes are skipped in the order of the word.
#[inline(always)]
pub fn candidate(order: [NodeIndex; 4], liveness: impl Fn(NodeIndex) -> LivenessState) -> NodeIndex {
    let mut fallback = NO_NODE;
    for node in order {
        if node == NO_NODE {
            break;
        }
        match liveness(node) {
            LivenessState::Accepting => return node,
            LivenessState::Draining | LivenessState::Leaving if fallback == NO_NODE => fallback = node,
            LivenessState::Draining | LivenessState::Leaving | LivenessState::Dead => {}
        }
    }
    fallback
}

/// Calls [`candidate`] for the node `own`.
pub fn direct(slot: Slot, own: NodeIndex, liveness: impl Fn(NodeIndex) -> LivenessState) -> Direction {
    match candidate(nodes_of(slot.order_word()), liveness) {
        NO_NODE => Direction::NoNode,
        node if node == own => Direction::Here,
        node => Direction::To(node),
    }
}

/// What a candidate knows when it is asked for a packet.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The slot of the flow, in the view of this node.
    pub slot: Slot,
    /// This node.
    pub own: NodeIndex,
    /// The kind of the packet.
    pub kind: PacketKind,
    /// The holder of the flow in the table, or [`NO_NODE`].
    pub holder: NodeIndex,
    /// The number of the [`FlowState`] in the table; 0 if there is no entry.
    pub state: u32,
    /// The entry is older than one unit: another node that knew better would have changed it.
    pub settled: bool,
    /// Number of nodes asked before this one.
    pub asked: usize,
    /// `MARK_*` of the packet.
    pub marks: u32,
    /// This node became leader so recently that UDP flows may still be owned elsewhere.
    pub new_leader: bool,
}

/// Lookups that a candidate makes only if it needs them.
pub trait Lookups {
    /// Returns whether a node can be asked for the packet (see [`can_ask`]). Never called for this node
    /// itself.
    fn can_ask(&self, node: NodeIndex) -> bool;
    /// Calls [`find`] in this slot.
    fn find(&self, part: SlotRange) -> NodeIndex;
    /// Returns whether a node of this slot died so recently that it may come back; one that was leaving does
    /// not.
    fn has_recent_death(&self) -> bool;
    /// Returns what this node's kernel knows of the flow.
    fn kernel(&self) -> KernelAnswer;
}

/// A range of the nodes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// First position: former leaders, newest first, then successors.
    pub first: u32,
    /// Without the successors.
    pub only_former: bool,
}

impl SlotRange {
    /// Only the former leaders.
    pub const FORMER: Self = Self { first: 0, only_former: true };

    /// Returns all nodes from a position on.
    #[inline(always)]
    pub const fn from(first: u32) -> Self {
        Self { first, only_former: false }
    }
}

/// What a candidate does.
#[inline(always)]
pub fn decide<W: Lookups>(question: &Question, world: &W) -> Decision {
    match question.kind {
        PacketKind::Udp => decide_udp(question, world),
        PacketKind::Opening | PacketKind::Tcp | PacketKind::Closing => decide_tcp(question, world),
    }
}

impl Question {
    #[inline(always)]
    const fn is(&self, state: FlowState) -> bool {
        self.state == state as u32
    }

    #[inline(always)]
    const fn is_own(&self) -> bool {
        self.holder == self.own
    }

    /// Returns whether the table has another node as the holder.
    #[inline(always)]
    const fn is_elsewhere(&self) -> bool {
        self.holder != NO_NODE && !self.is_own()
    }

    #[inline(always)]
    const fn is_unknown(&self) -> bool {
        self.marks & MARK_UNKNOWN != 0
    }

    #[inline(always)]
    const fn may_ask(&self) -> bool {
        self.asked + 1 < MAX_ASKED && self.marks & (MARK_UNKNOWN | MARK_LAST) == 0
    }

    /// Returns the window of the slot to search.
    #[inline(always)]
    const fn window(&self) -> u32 {
        // Bounds what came from the wire: three windows hold a whole slot.
        (self.marks >> MARK_WINDOW_SHIFT) & 3
    }

    /// Returns the state to record for a confirmed flow of this node.
    #[inline(always)]
    fn confirmed(&self) -> FlowState {
        if self.kind == PacketKind::Closing || self.is(FlowState::Closed) {
            FlowState::Closed
        } else if self.slot.leader == self.own {
            FlowState::Open
        } else {
            FlowState::Moved
        }
    }

    #[inline(always)]
    const fn own_as(&self, state: FlowState) -> Decision {
        Decision { action: CandidateAction::Own, node: self.own, state }
    }

    /// Returns a decision that records nothing.
    #[inline(always)]
    const fn quietly(&self, action: CandidateAction, node: NodeIndex) -> Decision {
        Decision { action, node, state: FlowState::Unconfirmed }
    }
}

/// Decides about UDP, which does not show when a flow begins: only a new leader asks others, and the last
/// node asked owns the flow.
#[inline(always)]
fn decide_udp<W: Lookups>(question: &Question, world: &W) -> Decision {
    let state = if question.holder == NO_NODE { FlowState::Unconfirmed } else { FlowState::Udp };
    if question.is_own() {
        return question.own_as(state);
    }
    if question.is_elsewhere() && question.may_ask() && world.can_ask(question.holder) {
        return Decision { action: CandidateAction::Delegate, node: question.holder, state };
    }
    if question.may_ask() && question.new_leader {
        let node = next_to_ask(question, world);
        if node != NO_NODE {
            // Only a node that died recently may know the owner.
            let action =
                if world.has_recent_death() { CandidateAction::Ask } else { CandidateAction::Delegate };
            return Decision { action, node, state };
        }
    }
    question.own_as(state)
}

/// Decides about TCP: by the table, then the kernel, then other nodes.
#[inline(always)]
fn decide_tcp<W: Lookups>(question: &Question, world: &W) -> Decision {
    if question.is_own() && is_ours(question, world) {
        return of_own(question, world);
    }
    if question.is_elsewhere()
        && question.may_ask()
        && !is_reopened(question)
        && world.can_ask(question.holder)
    {
        return to_holder(question);
    }
    if is_held(question, world) {
        return question.quietly(CandidateAction::Hold, question.own);
    }
    let first = question.asked == 0;
    // A SYN begins a flow where it comes first. If it is noted as another's, that one is asked: so a blind
    // SYN does not end what lives there. (A SYN of a live connection is answered by its kernel alone, RFC
    // 5961 section 4.)
    if first && question.kind == PacketKind::Opening {
        return begun(question, world);
    }
    if world.kernel() == KernelAnswer::Present {
        return question.own_as(question.confirmed());
    }
    if question.is_unknown() { end(question, world) } else { ask_others(question, world) }
}

/// Whether an entry of this node's own is of the flow that the packet is of.
#[inline(always)]
fn is_ours<W: Lookups>(question: &Question, world: &W) -> bool {
    let first = question.asked == 0;
    if question.marks & MARK_OPENING != 0 {
        // Home has seen a SYN since, so this may be a new connection with the ports of one that was closed
        // here.
        let sure = question.is(FlowState::Open) || question.is(FlowState::Moved);
        return match world.kernel() {
            KernelAnswer::Present => true,
            KernelAnswer::Unknown => sure,
            KernelAnswer::Absent => false,
        };
    }
    if question.kind == PacketKind::Opening {
        // Another node reopens a flow that is closed here.
        return first || !question.is(FlowState::Closed);
    }
    if question.is(FlowState::Closed) {
        // Another node may have a new connection with the ports of the one that was closed here.
        return world.kernel() != KernelAnswer::Absent;
    }
    // The SYN may have been a stranger's, or a retransmission after the ring changed, while a former leader
    // has the connection.
    let [last, before, ..] = question.slot.former;
    let others_led = last != NO_NODE && (last != question.own || before != NO_NODE);
    let may_be_elsewhere = || world.find(SlotRange::FORMER) != NO_NODE || world.has_recent_death();
    // If the slot does not list this node, no other node could return the packet here.
    let is_listed = question.slot.lists(question.own);
    !(first && question.is(FlowState::HalfOpen) && others_led && is_listed && may_be_elsewhere())
}

/// Returns whether the owner may be a node that died recently and may come back: then a SYN, which may be a
/// stranger's, does not open the flow here, and a segment after a SYN is no evidence.
#[inline(always)]
fn is_held<W: Lookups>(question: &Question, world: &W) -> bool {
    if question.asked != 0 {
        return false;
    }
    if question.is_own() {
        return question.is(FlowState::HalfOpen) && world.find(SlotRange::FORMER) == NO_NODE;
    }
    question.kind == PacketKind::Opening
        && question.is_elsewhere()
        && !question.is(FlowState::Closed)
        && world.has_recent_death()
}

/// Returns whether the packet reopens a flow that is closed at another node.
#[inline(always)]
fn is_reopened(question: &Question) -> bool {
    question.kind == PacketKind::Opening && question.is(FlowState::Closed)
}

/// Decides about a flow that this node owns by its table.
#[inline(always)]
fn of_own<W: Lookups>(question: &Question, world: &W) -> Decision {
    if question.is(FlowState::HalfOpen)
        || question.kind == PacketKind::Opening && question.is(FlowState::Closed)
    {
        return begun(question, world);
    }
    if question.is(FlowState::Unconfirmed) && world.kernel() != KernelAnswer::Present {
        // An unconfirmed flow may open now.
        let opening = question.kind == PacketKind::Opening;
        return question.own_as(if opening { FlowState::HalfOpen } else { FlowState::Unconfirmed });
    }
    question.own_as(question.confirmed())
}

/// Decides about a flow that opens here, or whose SYN was seen here.
#[inline(always)]
fn begun<W: Lookups>(question: &Question, world: &W) -> Decision {
    match question.kind {
        PacketKind::Opening => question.own_as(FlowState::HalfOpen),
        // The kernel completes the handshake only after this packet: the next one confirms the flow.
        PacketKind::Tcp if world.kernel() == KernelAnswer::Absent => question.own_as(FlowState::Unconfirmed),
        _ => question.own_as(question.confirmed()),
    }
}

/// Decides about a flow whose recorded holder is another node that can be asked.
#[inline(always)]
fn to_holder(question: &Question) -> Decision {
    let node = question.holder;
    if question.kind == PacketKind::Opening {
        return question.quietly(CandidateAction::Ask, node);
    }
    let state = if question.kind == PacketKind::Closing || question.is(FlowState::Closed) {
        FlowState::Closed
    } else if question.is(FlowState::Unconfirmed) && !question.settled {
        FlowState::Unconfirmed
    } else {
        FlowState::Moved
    };
    Decision { action: CandidateAction::Delegate, node, state }
}

/// Decides about a flow that neither table nor kernel know, or that may be an older one of another node.
#[inline(always)]
fn ask_others<W: Lookups>(question: &Question, world: &W) -> Decision {
    let recent_death = world.has_recent_death();
    if question.is_elsewhere() && recent_death {
        // The others may know neither the owner nor its recent death: one of them would take the flow for
        // unknown.
        return question.quietly(CandidateAction::Hold, question.own);
    }
    let next = if question.may_ask() { next_to_ask(question, world) } else { NO_NODE };
    if next != NO_NODE {
        // Only home records the node that it asks; not over a SYN of its own, unless another node has the
        // flow.
        let notes = question.asked == 0 && !question.is_own() && !recent_death;
        return question.quietly(if notes { CandidateAction::Delegate } else { CandidateAction::Ask }, next);
    }
    if question.asked != 0 && question.marks & MARK_HERE == 0 {
        return question.quietly(CandidateAction::Return, question.own);
    }
    end(question, world)
}

/// Decides at home about an unknown flow.
#[inline(always)]
fn end<W: Lookups>(question: &Question, world: &W) -> Decision {
    if question.kind == PacketKind::Opening || question.is_own() && question.is(FlowState::HalfOpen) {
        return begun(question, world);
    }
    if world.has_recent_death() {
        return question.quietly(CandidateAction::Hold, question.own);
    }
    let window = question.window() + 1;
    let next = world.find(SlotRange::from(window * WINDOW as u32));
    if next != NO_NODE {
        return question.quietly(CandidateAction::Search, next);
    }
    question.quietly(CandidateAction::Unknown, question.own)
}

/// Returns whether a node with this liveness state, which has not been asked for the packet yet, can be
/// asked: it is alive. A node that is leaving is not asked for a flow that begins here, by the number of the
/// flow's state in the table of this node: it may go before it answers, and the flow with it; what it may
/// own, an older flow with the same ports, ends soon.
#[inline(always)]
pub const fn can_ask(liveness: LivenessState, kind: PacketKind, state: u32) -> bool {
    match (liveness, kind) {
        (LivenessState::Accepting | LivenessState::Draining, _) => true,
        (LivenessState::Leaving, PacketKind::Udp) => state != 0,
        (LivenessState::Leaving, _) => state != FlowState::HalfOpen as u32,
        (LivenessState::Dead, _) => false,
    }
}

/// Returns the leader, else the first node of the window that can be asked.
///
/// This node need not lead the slot in its own view: then the leader in that view, which the sender skipped
/// or does not know, most likely owns the flow or knows its owner. While a connection opens, successors are
/// not asked: only a former leader can own one that is older than its SYN.
#[inline(always)]
fn next_to_ask<W: Lookups>(question: &Question, world: &W) -> NodeIndex {
    let leader = question.slot.leader;
    if leader != NO_NODE && leader != question.own && world.can_ask(leader) {
        return leader;
    }
    let only_former = question.marks & MARK_OPENING != 0;
    world.find(SlotRange { first: question.window() * WINDOW as u32, only_former })
}

/// Returns the first node that `own` can ask in a range of a slot; [`NO_NODE`] if there is none. `can_ask` is
/// never called for `own`.
#[inline(always)]
pub fn find(
    slot: Slot,
    own: NodeIndex,
    kind: PacketKind,
    part: SlotRange,
    can_ask: impl Fn(NodeIndex) -> bool,
) -> NodeIndex {
    let SlotRange { first, only_former } = part;
    let mut position = 0;
    for node in slot.former {
        if node == NO_NODE {
            break;
        }
        if position >= first && node != own && can_ask(node) {
            return node;
        }
        position += 1;
    }
    // For UDP, only one of leader and successors is asked.
    let mut left = match kind {
        _ if only_former => 0,
        PacketKind::Udp => u8::from(slot.leader == own),
        _ => 3,
    };
    for node in slot.successors {
        if node != own && node != NO_NODE && left != 0 {
            left -= 1;
            if position >= first && !slot.has_led(node) && can_ask(node) {
                return node;
            }
        }
        position += u32::from(counts(slot, node));
    }
    NO_NODE
}

/// Returns whether a successor has a position of its own: former leaders have theirs already.
#[inline(always)]
const fn counts(slot: Slot, successor: NodeIndex) -> bool {
    successor != NO_NODE && !slot.has_led(successor)
}

/// What a packet carries besides the list of nodes asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Trail {
    /// `MARK_*`.
    pub marks: u32,
    /// Index of the flow's home in the list of nodes asked.
    pub home: u32,
}

impl Trail {
    /// Returns the trail of a packet on arrival at the node `own`, which is the flow's home if it leads the
    /// slot and no node asked before does, or has seen a SYN of the flow.
    #[inline(always)]
    pub fn arrived(self, slot: Slot, own: NodeIndex, holder: NodeIndex, asked: usize) -> Self {
        let mut trail = self;
        if asked == 0 {
            let is_elsewhere = holder != NO_NODE && holder != own;
            let window = if is_elsewhere { window_of(slot, holder) } else { 0 };
            trail = Self { marks: window << MARK_WINDOW_SHIFT, home: 0 };
        }
        if slot.leader != own {
            return trail;
        }
        if trail.marks & MARK_LAST != 0 {
            trail.marks |= MARK_UNKNOWN;
        }
        if trail.marks & (MARK_LED | MARK_OPENING) == 0 {
            trail.marks |= MARK_LED | MARK_HERE;
            trail.home = asked as u32;
        }
        trail
    }

    /// Returns the trail of a packet that leaves a node with this state in its table.
    #[inline(always)]
    pub const fn going_on(self, state: u32, asked: usize) -> Self {
        let is_opening = asked == 0 && state == FlowState::HalfOpen as u32;
        Self { marks: self.marks & !MARK_HERE | if is_opening { MARK_OPENING } else { 0 }, home: self.home }
    }
}

/// Returns the last window of a slot that contains a node; the first one if none does.
#[inline(always)]
pub fn window_of(slot: Slot, node: NodeIndex) -> u32 {
    let mut position = 0;
    let mut found = 0;
    for former in slot.former {
        if former == NO_NODE {
            break;
        }
        if former == node {
            found = position;
        }
        position += 1;
    }
    for successor in slot.successors {
        if counts(slot, successor) {
            if successor == node {
                found = position;
            }
            position += 1;
        }
    }
    found / WINDOW as u32
}

const _: () = assert!(FORMER + 3 <= 3 * WINDOW, "three windows hold a whole slot");

#[cfg(test)]
mod tests;
