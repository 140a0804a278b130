//! Ways to choose a node for a packet.

mod connections;
mod ecmp;
mod fairlead;
mod glb;
pub mod maglev;
mod memo;

use lb_common::ring::NodeIndex;
use lb_common::wire::gue::MAX_ASKED;
use lb_pipeline::owner::{LivenessState, PacketKind};

pub use ecmp::{PlainEcmp, ResilientEcmp};
pub use fairlead::{Fairlead, Memory};
pub use glb::Glb;
pub use maglev::{Maglev, MaglevWithConnections};

use super::Tick;
use super::traffic::Flow;
use super::world::View;

/// A packet on its way into the cluster.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedPacket<'a> {
    /// Its flow.
    pub flow: Flow,
    /// The hash that nodes know the flow by.
    pub hash: u64,
    /// Opening, or in between.
    pub kind: PacketKind,
    /// The node that the router sends it to.
    pub director: NodeIndex,
    /// Now.
    pub now: Tick,
    /// Which nodes can be reached, by index.
    pub up: &'a [bool],
}

impl SimulatedPacket<'_> {
    /// Whether it gets to a node that it is sent to.
    pub fn reaches(&self, node: NodeIndex) -> bool {
        self.up.get(usize::from(node)).copied().unwrap_or_default()
    }

    /// Returns the result of sending it to a node that serves it.
    pub fn served_by(&self, node: NodeIndex) -> Arrival {
        if self.reaches(node) { Arrival::Served(node) } else { Arrival::Lost }
    }
}

/// The result of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// This node's stack gets it, and answers with a RST if it does not know the connection.
    Served(NodeIndex),
    /// It is lost. The client sends it again.
    Lost,
}

/// Packets by the number of nodes that were asked; the last is [`MAX_ASKED`].
pub type AskedCounts = [u64; MAX_ASKED + 1];

/// A way to choose a node for a packet.
pub trait Scheme {
    /// Its name in a report.
    fn name(&self) -> &'static str;

    /// A node begins, with nothing. Nodes begin in the order of their indices; one that began before has lost
    /// what it had.
    fn start(&mut self, node: NodeIndex);

    /// A node's view is another one than before.
    fn learn(&mut self, node: NodeIndex, view: &View, now: Tick);

    /// A node that is up looks at its clock.
    fn wake(&mut self, _node: NodeIndex, _now: Tick) {}

    /// The router has other next hops.
    fn reroute(&mut self, _next_hops: &[NodeIndex], _now: Tick) {}

    /// Carries a packet to where it ends.
    fn route(&mut self, packet: &SimulatedPacket<'_>) -> Arrival;

    /// How many nodes the packets since the start were asked of, in a scheme that asks.
    fn asked(&self) -> Option<AskedCounts> {
        None
    }
}

/// All schemes, Fairlead last. Tables of flows have this many sets of eight; Fairlead's rings remember this,
/// and its nodes ask their kernels if they can.
pub fn all(sets: usize, memory: Memory, ask_kernels: bool) -> Vec<Box<dyn Scheme>> {
    vec![
        Box::new(PlainEcmp),
        Box::new(ResilientEcmp::default()),
        Box::new(Maglev::default()),
        Box::new(MaglevWithConnections::new(sets)),
        Box::new(Glb::default()),
        Box::new(Fairlead::new(sets, memory, ask_kernels)),
    ]
}

/// The nodes with their weights that a view would give new flows.
fn accepting(view: &View) -> Vec<(NodeIndex, u32)> {
    let accepts = |node: NodeIndex| {
        view.peers.get(usize::from(node)).is_some_and(|peer| peer.liveness == LivenessState::Accepting)
    };
    let members = view.members.iter().filter(|(node, member)| !member.draining && accepts(**node));
    members.map(|(node, member)| (*node, member.weight)).collect()
}

/// The entry of a node, which is made if it is new.
fn entry<T: Default + Clone>(nodes: &mut Vec<T>, node: NodeIndex) -> &mut T {
    let at = usize::from(node);
    if nodes.len() <= at {
        nodes.resize(at + 1, T::default());
    }
    &mut nodes[at]
}
