//! The node that has accepted each flow, as the nodes' sockets know.

use lb_common::ring::{NO_NODE, NodeIndex};

use crate::simulation::traffic::Flow;

/// Nodes by flow.
#[derive(Default)]
pub(super) struct Holders(Vec<NodeIndex>);

impl Holders {
    /// Returns the node of a flow, or [`NO_NODE`].
    pub(super) fn get(&self, flow: Flow) -> NodeIndex {
        self.0.get(flow as usize).copied().unwrap_or(NO_NODE)
    }

    /// Records the node of a flow.
    pub(super) fn put(&mut self, flow: Flow, node: NodeIndex) {
        let at = flow as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, NO_NODE);
        }
        self.0[at] = node;
    }

    /// Removes the flows of a node that has lost its state.
    pub(super) fn forget(&mut self, node: NodeIndex) {
        self.0.iter_mut().filter(|holder| **holder == node).for_each(|holder| *holder = NO_NODE);
    }
}
