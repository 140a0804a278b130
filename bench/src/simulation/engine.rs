//! A run: one trace, each scheme.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

use lb_common::ring::{NO_NODE, NodeIndex};
use lb_pipeline::owner::PacketKind;
use serde::Serialize;

use super::Tick;
use super::random::Random;
use super::scheme::{Arrival, AskedCounts, Scheme, SimulatedPacket};
use super::trace::{Subject, Trace};
use super::traffic::FlowSchedule;
use super::world::{ClusterChanges, SimulatedCluster, Timing};

/// Where packets enter the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryPoint {
    /// At the node that the router chooses: the same for a flow until the next hops change.
    Router,
    /// At a random node that is up, chosen for each packet.
    Anywhere,
}

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The subject of the run.
    pub subject: Subject,
    /// Number of initial nodes.
    pub nodes: u16,
    /// Number of flows.
    pub flows: u32,
    /// The seed of the random numbers.
    pub seed: u64,
    /// The delays of changes.
    pub timing: Timing,
    /// Where packets enter.
    pub ingress: EntryPoint,
}

/// The score of a scheme in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    /// The scheme.
    pub scheme: &'static str,
    /// Connections that reached a node other than their owner while the owner lived.
    pub broken: u64,
    /// Connections whose owner died.
    pub died: u64,
    /// Lost packets.
    pub lost: u64,
    /// Entries for single flows at the end, beside the nodes' own sockets.
    pub tracked: u64,
    /// Packets by the number of nodes asked, in a scheme that asks.
    pub asked: Option<AskedCounts>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunResult {
    /// The subject of the trace.
    pub subject: Subject,
    /// Connections that sent a packet after the first event.
    pub at_risk: u64,
    /// Number of packets.
    pub packets: u64,
    /// The scores of the schemes.
    pub scores: Vec<Score>,
}

/// The state of a flow in a scheme.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connection {
    /// It has not been answered yet.
    Unopened,
    /// This node owns it.
    With(NodeIndex),
    /// It has ended.
    Over,
}

/// A scheme with the state of its flows.
struct SchemeRun {
    scheme: Box<dyn Scheme>,
    connections: Vec<Connection>,
    broken: u64,
    died: u64,
    lost: u64,
}

impl SchemeRun {
    fn new(scheme: Box<dyn Scheme>, flows: u32) -> Self {
        let connections = vec![Connection::Unopened; flows as usize];
        Self { scheme, connections, broken: 0, died: 0, lost: 0 }
    }

    fn apply(&mut self, changes: &ClusterChanges, world: &SimulatedCluster, now: Tick) {
        for dead in &changes.died {
            for connection in self.connections.iter_mut().filter(|c| **c == Connection::With(*dead)) {
                *connection = Connection::Over;
                self.died += 1;
            }
        }
        for node in &changes.started {
            self.scheme.start(*node);
        }
        for node in &changes.changed_views {
            self.scheme.update_view(*node, world.view(*node), now);
        }
        for node in up(world) {
            self.scheme.wake(node, now);
        }
        if changes.rerouted {
            self.scheme.reroute(world.router().next_hops(), now);
        }
    }

    /// Delivers a packet of a flow that has not ended.
    fn deliver(&mut self, packet: SimulatedPacket<'_>) {
        let connection = &mut self.connections[packet.flow as usize];
        let (kind, owner) = match *connection {
            Connection::Over => return,
            Connection::Unopened => (PacketKind::Opening, NO_NODE),
            Connection::With(owner) => (PacketKind::Tcp, owner),
        };
        match self.scheme.route(&SimulatedPacket { kind, ..packet }) {
            Arrival::Lost => self.lost += 1,
            Arrival::Served(node) if kind == PacketKind::Opening => *connection = Connection::With(node),
            Arrival::Served(node) if node == owner => {}
            Arrival::Served(_) => {
                *connection = Connection::Over;
                self.broken += 1;
            }
        }
    }

    fn score(&self) -> Score {
        Score {
            scheme: self.scheme.name(),
            broken: self.broken,
            died: self.died,
            lost: self.lost,
            tracked: self.scheme.tracked(),
            asked: self.scheme.asked(),
        }
    }
}

/// The load of a run, which does not depend on the scheme.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    at_risk: u64,
    packets: u64,
}

/// Runs a trace; calls `progress` for each tick and scheme with its number of packets.
///
/// Each scheme has the trace for itself, as many at a time as there are processors: the tables of all of them
/// would not fit into memory.
///
/// # Panics
/// If a scheme panics.
pub fn run(setup: &Setup, schemes: Vec<Box<dyn Scheme>>, progress: impl Fn(u64) + Sync) -> RunResult {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(schemes.len());
    let mut scores: Vec<Option<(Load, Score)>> = schemes.iter().map(|_| None).collect();
    // From the end: the last one takes the longest.
    let waiting: Mutex<Vec<_>> = Mutex::new(schemes.into_iter().zip(&mut scores).collect());
    let next = || waiting.lock().ok()?.pop();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((scheme, score)) = next() {
                    *score = Some(run_alone(setup, scheme, &progress));
                }
            });
        }
    });
    drop(waiting);
    let load = scores.iter().flatten().next().map_or(Load::default(), |(load, _)| *load);
    RunResult {
        subject: setup.subject,
        at_risk: load.at_risk,
        packets: load.packets,
        scores: scores.into_iter().flatten().map(|(_, score)| score).collect(),
    }
}

fn run_alone(setup: &Setup, scheme: Box<dyn Scheme>, progress: &impl Fn(u64)) -> (Load, Score) {
    let trace = Trace::new(setup.subject, setup.nodes, setup.seed);
    let mut world = SimulatedCluster::new(&trace, setup.timing, setup.seed);
    let mut traffic = FlowSchedule::new(setup.flows, &trace, setup.seed);
    let mut entries = Random::new(setup.seed, "entrances");
    let mut run = SchemeRun::new(scheme, setup.flows);
    let mut at_risk = vec![false; setup.flows as usize];
    let mut packets = 0;
    for now in 0..trace.ticks {
        let events = trace.events.iter().filter(|(at, _)| *at == now).map(|(_, event)| *event);
        let changes = world.advance(now, events);
        run.apply(&changes, &world, now);
        let up = up(&world);
        let due = traffic.due(now);
        for flow in &due {
            let hash = traffic.hash(*flow);
            let director = match setup.ingress {
                EntryPoint::Router => world.router().direct(hash),
                EntryPoint::Anywhere => entries.choose(&up).unwrap_or_default(),
            };
            let packet =
                SimulatedPacket { flow: *flow, hash, kind: PacketKind::Tcp, director, now, up: world.up() };
            run.deliver(packet);
            at_risk[*flow as usize] |= now >= trace.first_event();
        }
        world.settle(now);
        packets += due.len() as u64;
        progress(due.len() as u64);
    }
    let at_risk = at_risk.iter().filter(|at_risk| **at_risk).count() as u64;
    (Load { at_risk, packets }, run.score())
}

/// Returns the nodes that are up.
fn up(world: &SimulatedCluster) -> Vec<NodeIndex> {
    (0..).zip(world.up()).filter(|(_, up)| **up).map(|(node, _)| node).collect()
}
