//! The router in front of the cluster: equal-cost paths, chosen by hash modulo their number.

use lb_common::ring::NodeIndex;
use lb_plan::ring::mix;

/// A router.
#[derive(Debug, Default)]
pub struct Router {
    next_hops: Vec<NodeIndex>,
}

impl Router {
    /// Sets the next hops, and returns whether they have changed. An empty set is ignored: the router keeps
    /// its next hops.
    pub(super) fn set_next_hops(&mut self, next_hops: Vec<NodeIndex>) -> bool {
        let has_changed = !next_hops.is_empty() && next_hops != self.next_hops;
        if has_changed {
            self.next_hops = next_hops;
        }
        has_changed
    }

    /// Returns the node at which a flow's packets enter the cluster.
    pub fn direct(&self, hash: u64) -> NodeIndex {
        // The router hashes the same header, with a function of its own.
        let hash = mix(hash ^ 0x5bd1_e995_7b7d_159b);
        let count = self.next_hops.len().max(1) as u64;
        self.next_hops.get((hash % count) as usize).copied().unwrap_or_default()
    }

    /// Returns the next hops in the order of their addresses.
    pub fn next_hops(&self) -> &[NodeIndex] {
        &self.next_hops
    }
}
