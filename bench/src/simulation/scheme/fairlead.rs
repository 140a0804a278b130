//! Fairlead: its rings, its owner rule and its flow table.

mod ring;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lb_common::flows::{FlowEntry, FlowKey, FlowSet, FlowState};
use lb_common::kernel::KernelAnswer;
use lb_common::ring::{NO_NODE, NodeIndex, Slot};
use lb_common::wire::gue::MAX_ASKED;
use lb_pipeline::owner::{
    self, CandidateAction, Decision, Direction, LivenessState, Lookups, MARK_UNKNOWN, PacketKind, Question,
    SlotRange, Trail, decide, direct,
};

use super::{Arrival, AskedCounts, Scheme, SimulatedPacket};
use crate::simulation::Tick;
use crate::simulation::world::{NodeProbes, View};
pub use ring::Memory;
pub(super) use ring::preferences;
use ring::{Ring, Rings};

/// Time after the death of a node for which packets of unknown flows are held: 1 s.
const HOLD_TIME: Tick = 20;

/// The maps of one node.
struct Agent {
    ring: Arc<Ring>,
    peers: Vec<NodeProbes>,
    table: Vec<FlowSet>,
}

/// The fields that a packet carries: the nodes asked so far, marks and home.
struct CarriedFields {
    nodes: [NodeIndex; MAX_ASKED],
    count: usize,
    trail: Trail,
}

impl CarriedFields {
    const NOTHING: Self = Self { nodes: [NO_NODE; MAX_ASKED], count: 0, trail: Trail { marks: 0, home: 0 } };

    fn asked(&self) -> &[NodeIndex] {
        &self.nodes[..self.count]
    }

    fn push(&mut self, node: NodeIndex) {
        self.nodes[self.count] = node;
        self.count += 1;
    }
}

impl Agent {
    fn new(ring: Arc<Ring>, sets: usize) -> Self {
        Self { ring, peers: Vec::new(), table: (0..sets).map(|_| FlowSet::default()).collect() }
    }

    fn liveness(&self, node: NodeIndex) -> LivenessState {
        self.peers.get(usize::from(node)).map_or(LivenessState::Dead, |peer| peer.liveness)
    }

    /// Returns whether a node of this slot died within the hold time.
    fn has_recent_death(&self, slot: Slot, now: Tick) -> bool {
        let stands = |node| slot.leader == node || slot.successors.contains(&node) || slot.has_led(node);
        (0..)
            .zip(&self.peers)
            .any(|(node, peer)| peer.dead_since.is_some_and(|since| now < since + HOLD_TIME) && stands(node))
    }

    fn set(&self, key: FlowKey) -> &FlowSet {
        &self.table[key.set as usize & (self.table.len() - 1)]
    }

    fn get(&self, hash: u64) -> Option<FlowEntry> {
        let key = FlowKey::of(hash);
        self.set(key).get(key.tag)
    }

    fn put(&self, packet: &SimulatedPacket<'_>, node: NodeIndex, state: FlowState) {
        let key = FlowKey::of(packet.hash);
        self.set(key).put(key.tag, FlowEntry { node, state, age: age(packet.now) });
    }

    /// Returns the first node to ask for a packet, or that this director owns it.
    fn direct(&self, packet: &SimulatedPacket<'_>, own: NodeIndex) -> First {
        let slot = self.ring.slot(packet.hash);
        let candidate = direct(slot, own, |node| self.liveness(node));
        let is_own = |entry: FlowEntry| {
            entry.node == own && !entry.state.is_unproven() && entry.state != FlowState::Closed
        };
        match candidate {
            Direction::To(_) if packet.kind != PacketKind::Opening && slot.has_led(own) => {
                match self.get(packet.hash).filter(|entry| is_own(*entry)) {
                    Some(_) => First::Ask(own),
                    None => First::of(candidate, own),
                }
            }
            _ => First::of(candidate, own),
        }
    }

    /// Returns this node's decision as a candidate, and records the flow.
    fn decide(
        &self,
        packet: &SimulatedPacket<'_>,
        own: NodeIndex,
        carried: &mut CarriedFields,
        kernel: KernelAnswer,
    ) -> Decision {
        let slot = self.ring.slot(packet.hash);
        let known = self.get(packet.hash);
        let holder = known.map_or(NO_NODE, |entry| entry.node);
        let state = known.map_or(0, |entry| entry.state as u32);
        let asked = carried.count;
        carried.trail = carried.trail.arrived(slot, own, holder, asked);
        let question = Question {
            slot,
            own,
            kind: packet.kind,
            holder,
            state,
            settled: known.is_some_and(|entry| entry.age != age(packet.now)),
            asked,
            marks: carried.trail.marks,
            new_leader: true,
        };
        let step =
            decide(&question, &FlowLookups { agent: self, packet, question: &question, carried, kernel });
        let notes = matches!(
            step.action,
            CandidateAction::Own
                | CandidateAction::Unknown
                | CandidateAction::Search
                | CandidateAction::Delegate
        );
        if notes {
            self.put(packet, step.node, step.state);
        }
        carried.trail = carried.trail.going_on(state, asked);
        step
    }
}

/// A node's lookups for a packet's flow.
struct FlowLookups<'a> {
    agent: &'a Agent,
    packet: &'a SimulatedPacket<'a>,
    question: &'a Question,
    carried: &'a CarriedFields,
    kernel: KernelAnswer,
}

impl Lookups for FlowLookups<'_> {
    fn can_ask(&self, node: NodeIndex) -> bool {
        self.agent.liveness(node) != LivenessState::Dead && !self.carried.asked().contains(&node)
    }

    fn find(&self, part: SlotRange) -> NodeIndex {
        let Question { slot, own, kind, .. } = *self.question;
        owner::find(slot, own, kind, part, |node| self.can_ask(node))
    }

    fn has_recent_death(&self) -> bool {
        self.agent.has_recent_death(self.question.slot, self.packet.now)
    }

    fn kernel(&self) -> KernelAnswer {
        self.kernel
    }
}

/// Returns the clock of ages, in units of 17.2 s.
const fn age(now: Tick) -> u16 {
    (now / 344) as u16
}

/// The first candidate that a director chooses.
enum First {
    Ask(NodeIndex),
    None,
}

impl First {
    const fn of(direction: Direction, own: NodeIndex) -> Self {
        match direction {
            Direction::Here => Self::Ask(own),
            Direction::To(node) => Self::Ask(node),
            Direction::NoNode => Self::None,
        }
    }
}

/// Fairlead.
pub struct Fairlead {
    sets: usize,
    rings: Rings,
    /// The owner of each connection, if kernels can be queried.
    kernels: Option<HashMap<u64, NodeIndex>>,
    agents: Vec<Agent>,
    asked: AskedCounts,
}

impl Fairlead {
    /// Creates the scheme with this many sets, a power of two, in each node's table; with `ask_kernels`,
    /// nodes query their kernels.
    pub fn new(sets: usize, memory: Memory, ask_kernels: bool) -> Self {
        Self {
            sets,
            rings: Rings::new(memory),
            kernels: ask_kernels.then(HashMap::new),
            agents: Vec::new(),
            asked: [0; _],
        }
    }

    fn kernel(&self, hash: u64, node: NodeIndex) -> KernelAnswer {
        match &self.kernels {
            None => KernelAnswer::Unknown,
            Some(owners) if owners.get(&hash) == Some(&node) => KernelAnswer::Present,
            Some(_) => KernelAnswer::Absent,
        }
    }

    fn ask(&mut self, packet: &SimulatedPacket<'_>, first: NodeIndex) -> Arrival {
        let mut carried = CarriedFields::NOTHING;
        let mut at = first;
        let arrival = loop {
            if !packet.reaches(at) {
                break Arrival::Lost;
            }
            let kernel = self.kernel(packet.hash, at);
            let agent = &self.agents[usize::from(at)];
            let step = agent.decide(packet, at, &mut carried, kernel);
            if carried.trail.marks & MARK_UNKNOWN == 0 {
                carried.push(at);
            }
            match step.action {
                // The network stack may know a connection whose flow is unknown.
                CandidateAction::Own | CandidateAction::Unknown => break Arrival::Served(at),
                CandidateAction::Hold | CandidateAction::Search => break Arrival::Lost,
                CandidateAction::Delegate | CandidateAction::Ask => at = step.node,
                CandidateAction::Return => {
                    let home = carried.nodes[carried.trail.home as usize];
                    if agent.liveness(home) == LivenessState::Dead {
                        break Arrival::Lost;
                    }
                    carried.trail.marks |= MARK_UNKNOWN;
                    at = home;
                }
            }
        };
        self.asked[carried.count] += 1;
        if let (Some(owners), PacketKind::Opening, Arrival::Served(node)) =
            (&mut self.kernels, packet.kind, arrival)
        {
            owners.insert(packet.hash, node);
        }
        arrival
    }
}

impl Scheme for Fairlead {
    fn name(&self) -> &'static str {
        "Fairlead"
    }

    fn start(&mut self, node: NodeIndex) {
        let agent = Agent::new(self.rings.fresh(), self.sets);
        if let Some(before) = self.agents.get_mut(usize::from(node)) {
            *before = agent;
        } else {
            self.agents.push(agent);
        }
    }

    fn update_view(&mut self, node: NodeIndex, view: &View, now: Tick) {
        let agent = &mut self.agents[usize::from(node)];
        agent.peers.clone_from(&view.peers);
        agent.ring = self.rings.follow(&agent.ring, node, view, now);
    }

    fn wake(&mut self, node: NodeIndex, now: Tick) {
        let agent = &mut self.agents[usize::from(node)];
        agent.ring = self.rings.wake(&agent.ring, node, now);
    }

    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival {
        let director = packet.director;
        if !packet.reaches(director) {
            return Arrival::Lost;
        }
        match self.agents[usize::from(director)].direct(packet, director) {
            First::Ask(first) => self.ask(packet, first),
            First::None => Arrival::Lost,
        }
    }

    fn asked(&self) -> Option<AskedCounts> {
        Some(self.asked)
    }

    fn tracked(&self) -> u64 {
        let sets = self.agents.iter().flat_map(|agent| &agent.table);
        sets.flat_map(|set| &set.ways).filter(|way| way.load(Ordering::Relaxed) != 0).count() as u64
    }
}
