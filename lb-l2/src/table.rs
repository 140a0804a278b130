//! The input of the engine: the addresses, their ranks, and the links of this node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::maps::RANKS;
use lb_common::ring::{NO_NODE, NodeIndex};

/// All addresses that the cluster announces on local networks, as one node sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2Table {
    /// This node.
    pub own: NodeIndex,
    /// The addresses.
    pub addresses: BTreeMap<IpAddr, L2Address>,
    /// The MAC addresses of this node's links, by interface index.
    pub links: BTreeMap<u32, [u8; 6]>,
    /// The MAC addresses of all nodes of the cluster.
    pub node_macs: BTreeSet<[u8; 6]>,
    /// The other nodes that this node probes. Those with a rank need not be among them.
    pub probed: BTreeSet<NodeIndex>,
}

/// An address that nodes announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2Address {
    /// The nodes that may announce it, as in [`lb_common::maps::Announcer::ranks`].
    pub ranks: [NodeIndex; RANKS],
    /// Interface indices of the links on which this node announces it; empty if it does not.
    pub links: Vec<u32>,
    /// The cluster has announced it before: duplicates are not searched for.
    pub is_known: bool,
}

impl L2Table {
    /// Returns a table without addresses.
    pub const fn empty() -> Self {
        Self {
            own: NO_NODE,
            addresses: BTreeMap::new(),
            links: BTreeMap::new(),
            node_macs: BTreeSet::new(),
            probed: BTreeSet::new(),
        }
    }

    /// Returns whether a MAC address is that of a node of the cluster.
    pub(crate) fn is_node_mac(&self, mac: [u8; 6]) -> bool {
        self.node_macs.contains(&mac) || self.links.values().any(|own| *own == mac)
    }
}
