//! The model: everything that is configured, valid.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::advertisement::L2Advertisement;
use crate::bgp::Bgp;
use crate::drain::DrainRules;
use crate::name::{NodeName, ServiceName};
use crate::node::Node;
use crate::pool::Pools;
use crate::service::{AddressRule, Service};

/// Everything that is wanted, valid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Pools of addresses.
    pub pools: Pools,
    /// Services that are to be served and have an address.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// Nodes of the cluster.
    pub nodes: BTreeMap<NodeName, Node>,
    /// Which pools are announced on the local network, and by whom.
    pub l2_advertisements: Vec<L2Advertisement>,
    /// What is announced by BGP, and to whom.
    pub bgp: Bgp,
    /// By what a node drains. It is chosen, not written: each model has it of the one before.
    pub drain: DrainRules,
    /// Which addresses count as a Service's. It is chosen, too.
    pub addresses: AddressRule,
}

impl Model {
    /// What of a model counts for the one after it.
    pub(crate) fn remainder(&self) -> Self {
        let (pools, bgp, drain) = (self.pools.clone(), self.bgp.clone(), self.drain.clone());
        let l2_advertisements = self.l2_advertisements.clone();
        Self { pools, bgp, drain, l2_advertisements, addresses: self.addresses, ..Self::default() }
    }

    /// The addresses whose ways the facts should tell: the primary address of every other node.
    pub fn addresses_to_resolve(&self, own: &NodeName) -> BTreeSet<IpAddr> {
        self.nodes.iter().filter(|(name, _)| *name != own).map(|(_, node)| node.primary()).collect()
    }
}
