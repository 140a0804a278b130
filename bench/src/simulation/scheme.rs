//! Schemes that choose a node for a packet.

mod beamer;
mod connections;
mod ecmp;
mod fairlead;
mod glb;
mod holders;
mod jet;
pub mod maglev;
mod memo;

use lb_common::ring::NodeIndex;
use lb_common::wire::gue::MAX_ASKED;
use lb_pipeline::owner::{LivenessState, PacketKind};

pub use beamer::Beamer;
pub use ecmp::{PlainEcmp, ResilientEcmp};
pub use fairlead::{Fairlead, Memory};
pub use glb::Glb;
pub use jet::Jet;
pub use maglev::{Maglev, MaglevWithConnections};

use super::Tick;
use super::traffic::Flow;
use super::world::View;

/// A packet that enters the cluster.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedPacket<'a> {
    /// Its flow.
    pub flow: Flow,
    /// The flow's hash, as nodes compute it.
    pub hash: u64,
    /// Whether it opens the flow or continues it.
    pub kind: PacketKind,
    /// The node to which the router sends it.
    pub director: NodeIndex,
    /// The current time.
    pub now: Tick,
    /// Whether each node can be reached, by index.
    pub up: &'a [bool],
}

impl SimulatedPacket<'_> {
    /// Returns whether it reaches a node to which it is sent.
    pub fn reaches(&self, node: NodeIndex) -> bool {
        self.up.get(usize::from(node)).copied().unwrap_or_default()
    }

    /// Returns the result of sending it to a node that serves it.
    pub fn served_by(&self, node: NodeIndex) -> Arrival {
        if self.reaches(node) { Arrival::Served(node) } else { Arrival::Lost }
    }
}

/// The result for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// This node's network stack receives it, and answers with a RST if it does not know the connection.
    Served(NodeIndex),
    /// It is lost; the client retransmits it.
    Lost,
}

/// Packets by the number of nodes asked, up to [`MAX_ASKED`].
pub type AskedCounts = [u64; MAX_ASKED + 1];

/// A scheme that chooses a node for a packet.
pub trait Scheme: Send {
    /// Returns its name in a report.
    fn name(&self) -> &'static str;

    /// Starts a node with empty state. Nodes start in the order of their indices; a node that has started
    /// before loses its state.
    fn start(&mut self, node: NodeIndex);

    /// Handles a change of a node's view.
    fn update_view(&mut self, node: NodeIndex, view: &View, now: Tick);

    /// Handles a tick of a node that is up.
    fn wake(&mut self, _node: NodeIndex, _now: Tick) {}

    /// Handles a change of the router's next hops.
    fn reroute(&mut self, _next_hops: &[NodeIndex], _now: Tick) {}

    /// Delivers a packet to its final node.
    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival;

    /// Returns the packets by the number of nodes asked, in a scheme that asks.
    fn asked(&self) -> Option<AskedCounts> {
        None
    }

    /// Returns the entries for single flows that directors and nodes keep beside the nodes' own sockets.
    fn tracked(&self) -> u64 {
        0
    }
}

/// The settings of the schemes.
#[derive(Clone, Copy, Debug)]
pub struct SchemeSettings {
    /// Sets of eight in a flow table: a power of two.
    pub sets: usize,
    /// The history in Fairlead's rings.
    pub memory: Memory,
    /// Whether Fairlead's nodes query their kernels.
    pub ask_kernels: bool,
    /// Maximum ticks until a controller's change arrives.
    pub delay: Tick,
    /// The seed of the random numbers.
    pub seed: u64,
}

impl SchemeSettings {
    /// Returns all schemes, Fairlead last.
    pub fn all(self) -> Vec<Box<dyn Scheme>> {
        vec![
            Box::new(PlainEcmp),
            Box::new(ResilientEcmp::default()),
            Box::new(Maglev::default()),
            Box::new(MaglevWithConnections::new(self.sets)),
            Box::new(Jet::new(self.sets)),
            Box::new(Glb::default()),
            Box::new(Beamer::new(self.delay, self.seed)),
            Box::new(Fairlead::new(self.sets, self.memory, self.ask_kernels)),
        ]
    }
}

/// Returns the nodes to which a view assigns new flows, with their weights.
fn accepting(view: &View) -> Vec<(NodeIndex, u32)> {
    let accepts = |node: NodeIndex| {
        view.peers.get(usize::from(node)).is_some_and(|peer| peer.liveness == LivenessState::Accepting)
    };
    let members = view.members.iter().filter(|(node, member)| !member.draining && accepts(**node));
    members.map(|(node, member)| (*node, member.weight)).collect()
}

/// Returns the entry of a node; creates it for a new node.
fn entry<T: Default + Clone>(nodes: &mut Vec<T>, node: NodeIndex) -> &mut T {
    let at = usize::from(node);
    if nodes.len() <= at {
        nodes.resize(at + 1, T::default());
    }
    &mut nodes[at]
}
