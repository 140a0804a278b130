//! Fairlead: its rings, its owner rule, its table of flows.

mod ring;

use lb_common::flows::{Entry, FlowKey, FlowSet};
use lb_common::owner::{Decision, Direction, Kind, MAX_ASKED, Question, Vitality, decide, direct, stands_in};
use lb_common::ring::{NO_NODE, NodeIndex, Slot};

use super::{Arrival, Asked, Packet, Scheme};
use crate::simulation::Tick;
use crate::simulation::world::{Peer, View};
pub use ring::Memory;
use ring::Ring;
pub(super) use ring::preferences;

/// How long after the death of a node its packets are kept waiting: 1 s.
const ORPHAN_GRACE: Tick = 20;

/// What one node has in its maps.
struct Agent {
    ring: Ring,
    peers: Vec<Peer>,
    table: Vec<FlowSet>,
}

/// The nodes that a packet has been asked of, as it carries them along.
struct Trail {
    nodes: [NodeIndex; MAX_ASKED],
    count: usize,
}

impl Trail {
    fn contains(&self, node: NodeIndex) -> bool {
        self.nodes[..self.count].contains(&node)
    }

    fn push(&mut self, node: NodeIndex) {
        self.nodes[self.count] = node;
        self.count += 1;
    }
}

impl Agent {
    fn new(ring: Ring, sets: usize) -> Self {
        Self { ring, peers: Vec::new(), table: (0..sets).map(|_| FlowSet::default()).collect() }
    }

    fn vitality(&self, node: NodeIndex) -> Vitality {
        self.peers.get(usize::from(node)).map_or(Vitality::Dead, |peer| peer.vitality)
    }

    /// A node of this slot has been silent for no longer than the grace.
    fn bereaved(&self, slot: Slot, now: Tick) -> bool {
        (0..).zip(&self.peers).any(|(node, peer)| {
            peer.dead_since.is_some_and(|since| now < since + ORPHAN_GRACE) && stands_in(slot, node)
        })
    }

    fn set(&self, key: FlowKey) -> &FlowSet {
        &self.table[key.set as usize & (self.table.len() - 1)]
    }

    fn get(&self, hash: u64) -> Option<Entry> {
        let key = FlowKey::of(hash);
        self.set(key).get(key.tag)
    }

    fn put(&self, packet: &Packet<'_>, node: NodeIndex) {
        let key = FlowKey::of(packet.hash);
        let entry = Entry { node, standing: packet.kind.standing(), age: packet.now as u16 };
        self.set(key).put(key.tag, entry);
    }

    /// The first node that a packet is asked of, or that it is this director's own.
    fn direct(&self, packet: &Packet<'_>, own: NodeIndex) -> First {
        let slot = self.ring.slot(packet.hash);
        let may_be_own = packet.kind != Kind::Opening && stands_in(slot, own);
        if may_be_own && self.get(packet.hash).is_some_and(|entry| entry.node == own) {
            self.put(packet, own);
            return First::Own;
        }
        match direct(slot, own, |node| self.vitality(node)) {
            Direction::Here => First::Ask(own),
            Direction::To(node) => First::Ask(node),
            Direction::Nobody => First::Nobody,
        }
    }

    /// What this node decides as a candidate, and notes.
    fn decide(&self, packet: &Packet<'_>, own: NodeIndex, trail: &Trail) -> Decision {
        let slot = self.ring.slot(packet.hash);
        let question = Question {
            slot,
            own,
            kind: packet.kind,
            holder: self.get(packet.hash).map_or(NO_NODE, |entry| entry.node),
            asked: trail.count,
            young: true,
        };
        let can_ask = |node| self.vitality(node) != Vitality::Dead && !trail.contains(node);
        let decision = decide(&question, can_ask, || self.bereaved(slot, packet.now));
        match decision {
            Decision::Own => self.put(packet, own),
            Decision::Delegate(node) => self.put(packet, node),
            Decision::Ask(_) | Decision::Orphan | Decision::Unknown => {}
        }
        decision
    }
}

/// What a director finds.
enum First {
    Own,
    Ask(NodeIndex),
    Nobody,
}

/// Fairlead.
pub struct Fairlead {
    sets: usize,
    memory: Memory,
    agents: Vec<Agent>,
    asked: Asked,
}

impl Fairlead {
    /// With a table of so many sets on each node; a power of two.
    pub fn new(sets: usize, memory: Memory) -> Self {
        Self { sets, memory, agents: Vec::new(), asked: [0; _] }
    }

    fn ask(&mut self, packet: &Packet<'_>, first: NodeIndex) -> Arrival {
        let mut trail = Trail { nodes: [NO_NODE; _], count: 0 };
        let mut at = first;
        let arrival = loop {
            if !packet.reaches(at) {
                break Arrival::Lost;
            }
            let decision = self.agents[usize::from(at)].decide(packet, at, &trail);
            trail.push(at);
            match decision {
                // A stack that gets a packet of an unknown flow may know the connection all the same.
                Decision::Own | Decision::Unknown => break Arrival::Served(at),
                Decision::Orphan => break Arrival::Lost,
                Decision::Delegate(next) | Decision::Ask(next) => at = next,
            }
        };
        self.asked[trail.count] += 1;
        arrival
    }
}

impl Scheme for Fairlead {
    fn name(&self) -> &'static str {
        "Fairlead"
    }

    fn start(&mut self, node: NodeIndex) {
        let agent = Agent::new(Ring::new(node, self.memory), self.sets);
        if let Some(before) = self.agents.get_mut(usize::from(node)) {
            *before = agent;
        } else {
            self.agents.push(agent);
        }
    }

    fn learn(&mut self, node: NodeIndex, view: &View, now: Tick) {
        let agent = &mut self.agents[usize::from(node)];
        agent.peers.clone_from(&view.peers);
        agent.ring.follow(view, now);
    }

    fn wake(&mut self, node: NodeIndex, now: Tick) {
        self.agents[usize::from(node)].ring.wake(now);
    }

    fn route(&mut self, packet: &Packet<'_>) -> Arrival {
        let director = packet.director;
        if !packet.reaches(director) {
            return Arrival::Lost;
        }
        match self.agents[usize::from(director)].direct(packet, director) {
            First::Own => {
                self.asked[0] += 1;
                Arrival::Served(director)
            }
            First::Ask(first) => self.ask(packet, first),
            First::Nobody => Arrival::Lost,
        }
    }

    fn asked(&self) -> Option<Asked> {
        Some(self.asked)
    }
}
