//! A cluster on one virtual clock: each node has its own engine, probes the others as `lb-bfd` does, and
//! answers as the XDP program does, by its own view.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_common::maps::{LIVENESS_ADMIN_DOWN, LIVENESS_HOLDS_THIS, Liveness, RANKS, Standing};
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_pipeline::announcer::{AnnouncerState, OwnStanding, first_live};

use crate::engine::{Engine, EngineSettings, OwnState};
use crate::table::{L2Address, L2Table};

/// Milliseconds between probes, of a tick of the probe clock, and of the driver.
pub(super) const PROBE: u64 = 50;
const CLOCK: u64 = 10;
const TICK: u64 = 5;
/// Ticks of the probe clock without a reply after which a node is dead.
const LIMIT: u32 = 15;

/// A generator of numbers (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Packet {
    Probe { sequence: u32 },
    Reply { sequence: u32, state: u32 },
}

type Flight = Reverse<(u64, u64, usize, usize, Packet)>;

pub(super) struct SimNode {
    pub(super) engine: Engine,
    clock: u32,
    next_clock: u64,
    next_tick: u64,
    next_probe: Vec<u64>,
    /// As `lb_liveness`.
    cells: Vec<Liveness>,
    /// As `lb_config`, and what the agent is about to write there.
    standing: Standing,
    pending: Option<(u64, Standing)>,
    pub(super) is_up: bool,
    /// Stopped, with everything on it.
    pub(super) is_frozen: bool,
    /// Until when the program runs without the agent, if it does.
    pub(super) agent_back: Option<u64>,
    pub(super) is_draining: bool,
    /// Not connected to anything.
    pub(super) part: usize,
    /// A node that sees no other one is isolated.
    pub(super) has_gateway: bool,
}

pub(super) struct Cluster {
    pub(super) nodes: Vec<SimNode>,
    pub(super) now: u64,
    pub(super) numbers: Numbers,
    table: BTreeMap<IpAddr, L2Address>,
    settings: EngineSettings,
    flights: BinaryHeap<Flight>,
    count: u64,
    /// Milliseconds that a packet takes at most, and that the agent takes at most to write a standing.
    delay: u64,
    write: u64,
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Cluster {
    /// Returns a cluster whose nodes have all just started.
    pub(super) fn new(count: usize, addresses: usize, preempt_after: Option<Duration>, seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let settings =
            EngineSettings { keep_alive: None, rate: 2000, preempt_after, check: false, detection: ms(150) };
        let table = (0..addresses as u32).map(|k| {
            let mut ranks = [NO_NODE; RANKS];
            let mut nodes: Vec<NodeIndex> = (0..count as u16).collect();
            for rank in ranks.iter_mut().take(count) {
                *rank = nodes.remove(numbers.below(nodes.len() as u64) as usize);
            }
            // Some have few candidates.
            let candidates = if k % 4 == 3 { 2 } else { count };
            ranks[candidates.min(RANKS)..].fill(NO_NODE);
            let address = IpAddr::V4((0xc000_0200 + k).into());
            (address, L2Address { ranks, links: vec![1], is_known: true })
        });
        let table = table.collect();
        let mut cluster = Self {
            nodes: Vec::new(),
            now: 1000,
            numbers,
            table,
            settings,
            flights: BinaryHeap::new(),
            count: 0,
            delay: 5,
            write: 40,
        };
        for node in 0..count {
            let started = cluster.started(node, count, Standing::Absent);
            cluster.nodes.push(started);
        }
        cluster
    }

    fn started(&mut self, node: usize, count: usize, adopted: Standing) -> SimNode {
        let now = self.now;
        SimNode {
            engine: self.engine(node, count, adopted),
            clock: 1000,
            next_clock: now + self.numbers.below(CLOCK),
            next_tick: now + self.numbers.below(TICK),
            next_probe: (0..count).map(|_| now + self.numbers.below(PROBE)).collect(),
            cells: vec![Liveness::of_new_node(0); count],
            standing: adopted,
            pending: None,
            is_up: true,
            is_frozen: false,
            agent_back: None,
            is_draining: false,
            part: 0,
            has_gateway: true,
        }
    }

    fn engine(&self, node: usize, count: usize, adopted: Standing) -> Engine {
        let mut engine = Engine::new(self.settings, adopted, ms(self.now));
        let table = L2Table {
            own: node as u16,
            addresses: self.table.clone(),
            links: [(1, [2, 0, 0, 0, 0, node as u8])].into(),
            node_macs: BTreeSet::new(),
            probed: (0..count as u16).filter(|other| usize::from(*other) != node).collect(),
        };
        engine.set_table(Arc::new(table), ms(self.now));
        engine
    }

    /// Starts a node afresh that was down.
    pub(super) fn restart(&mut self, node: usize) {
        let (part, has_gateway) = (self.nodes[node].part, self.nodes[node].has_gateway);
        let started = self.started(node, self.nodes.len(), Standing::Absent);
        self.nodes[node] = SimNode { part, has_gateway, ..started };
    }

    /// Starts the agent of a node again, which adopts the program.
    fn adopt(&mut self, node: usize) {
        let engine = self.engine(node, self.nodes.len(), self.nodes[node].standing);
        let node = &mut self.nodes[node];
        (node.engine, node.agent_back, node.pending) = (engine, None, None);
    }

    /// Advances by a millisecond.
    pub(super) fn step(&mut self) {
        self.now += 1;
        while self.flights.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            if let Some(Reverse((_, _, from, to, packet))) = self.flights.pop() {
                self.arrive(from, to, packet);
            }
        }
        for node in 0..self.nodes.len() {
            self.run_agent(node);
        }
    }

    fn is_reachable(&self, from: usize, to: usize) -> bool {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        to.is_up && !to.is_frozen && from.part == to.part
    }

    fn send(&mut self, from: usize, to: usize, packet: Packet) {
        if self.is_reachable(from, to) {
            let at = self.now + self.numbers.below(self.delay + 1);
            self.count += 1;
            self.flights.push(Reverse((at, self.count, from, to, packet)));
        }
    }

    fn arrive(&mut self, from: usize, to: usize, packet: Packet) {
        if !self.is_reachable(from, to) {
            return;
        }
        match packet {
            Packet::Probe { sequence } => {
                let state = self.nodes[to].answer(from);
                self.send(to, from, Packet::Reply { sequence, state });
            }
            Packet::Reply { sequence, state } => self.nodes[to].note(from, sequence, state),
        }
    }

    fn run_agent(&mut self, node: usize) {
        let (now, write) = (self.now, 1 + self.numbers.below(self.write));
        if self.nodes[node].agent_back.is_some_and(|back| back <= now) {
            self.adopt(node);
        }
        let it = &mut self.nodes[node];
        if !it.is_up || it.is_frozen || it.agent_back.is_some() {
            return;
        }
        if it.next_clock <= now {
            it.clock += 1;
            it.next_clock = if now < it.next_clock + CLOCK { it.next_clock + CLOCK } else { now + CLOCK };
        }
        if it.next_tick <= now {
            it.next_tick = now + TICK;
            it.tick(node, now, write);
        }
        if let Some((_, standing)) = it.pending.filter(|(at, _)| *at <= now) {
            (it.standing, it.pending) = (standing, None);
        }
        for to in 0..self.nodes.len() {
            let it = &mut self.nodes[node];
            if to != node && it.next_probe[to] <= now {
                it.next_probe[to] = now + PROBE;
                let sequence = it.clock;
                self.send(node, to, Packet::Probe { sequence });
            }
        }
    }

    /// Returns the nodes of a part that answer for each address.
    pub(super) fn answering(&self, part: usize) -> Vec<BTreeSet<usize>> {
        let live: Vec<usize> = self.live(part).collect();
        let answers = |ranks: [NodeIndex; RANKS]| {
            let answers = live.iter().copied().filter(|node| self.nodes[*node].answers(*node, ranks));
            answers.collect()
        };
        self.table.values().map(|entry| answers(entry.ranks)).collect()
    }

    /// Returns the nodes of a part that can answer.
    pub(super) fn live(&self, part: usize) -> impl Iterator<Item = usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(move |(_, node)| node.is_up && !node.is_frozen && node.part == part)
            .map(|(node, _)| node)
    }

    /// Returns how many of these nodes may announce each address.
    pub(super) fn candidates(&self, nodes: &[usize]) -> Vec<usize> {
        let ranked =
            |entry: &L2Address| nodes.iter().filter(|node| entry.ranks.contains(&(**node as u16))).count();
        self.table.values().map(ranked).collect()
    }

    /// Returns whether a node can announce in a part with so many live nodes.
    pub(super) fn can_announce(&self, node: usize, live: usize) -> bool {
        live > 1 || self.nodes[node].has_gateway
    }

    /// Returns all that answers depend on.
    pub(super) fn fingerprint(&self) -> Vec<(bool, usize, bool, Standing, Option<u32>)> {
        let state = |it: &SimNode, other| {
            let state = it.liveness(other).map(|cell| cell.state);
            (it.is_up && !it.is_frozen, it.part, it.is_draining, it.standing, state)
        };
        let count = self.nodes.len();
        self.nodes.iter().flat_map(|it| (0..count).map(move |other| state(it, other))).collect()
    }

    pub(super) fn parts(&self) -> BTreeSet<usize> {
        self.nodes.iter().map(|node| node.part).collect()
    }
}

impl SimNode {
    /// The state that the program sends back with a probe, as `lb_pipeline::judge_probe` does.
    fn answer(&self, from: usize) -> u32 {
        let cell = self.cells[from];
        let holds = cell.is_held();
        Liveness::standing_bits(self.standing)
            | if holds { LIVENESS_HOLDS_THIS } else { 0 }
            | if self.is_draining { LIVENESS_ADMIN_DOWN } else { 0 }
    }

    /// Takes a reply, as `lb_pipeline::judge_probe` does.
    fn note(&mut self, from: usize, sequence: u32, state: u32) {
        let cell = self.cells[from];
        let age = self.clock.wrapping_sub(sequence);
        if age >= LIMIT || age > self.clock.wrapping_sub(cell.last_seen) {
            return;
        }
        let was_dead = cell.silence(self.clock) >= LIMIT;
        self.cells[from] = cell.after(Liveness { last_seen: sequence, state }, was_dead, self.standing);
    }

    pub(super) fn liveness(&self, node: usize) -> Option<Liveness> {
        let cell = self.cells[node];
        (cell.silence(self.clock) < LIMIT).then_some(cell)
    }

    fn tick(&mut self, own: usize, now: u64, write: u64) {
        let others = (0..self.cells.len()).filter(|node| *node != own);
        let is_alone = others.clone().all(|node| self.liveness(node).is_none());
        let can_announce = self.has_gateway || !is_alone;
        let cells: Vec<Option<Liveness>> = (0..self.cells.len()).map(|node| self.liveness(node)).collect();
        let state = OwnState { is_draining: self.is_draining, can_announce };
        self.engine.handle_states(state, |node| cells[usize::from(node)], ms(now));
        let wanted = self.engine.standing();
        if self.pending.map_or(self.standing, |(_, standing)| standing) != wanted {
            self.pending = Some((now + write, wanted));
        }
    }

    fn answers(&self, own: usize, ranks: [NodeIndex; RANKS]) -> bool {
        let state = |node: NodeIndex| match self.cells.get(usize::from(node)) {
            Some(_) if usize::from(node) != own => {
                self.liveness(node.into()).map_or(AnnouncerState::DEAD, AnnouncerState::of_live)
            }
            _ => AnnouncerState::DEAD,
        };
        let own_standing =
            OwnStanding { node: own as u16, is_draining: self.is_draining, standing: self.standing };
        first_live(ranks, own_standing, state) == own as u16
    }
}
