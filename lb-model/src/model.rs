//! The model: the valid part of the configuration.

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

/// The valid part of the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Pools of addresses.
    pub pools: Pools,
    /// Services to be served, which have an address.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// Nodes of the cluster.
    pub nodes: BTreeMap<NodeName, Node>,
    /// The pools that are announced on the local network, and by which nodes.
    pub l2_advertisements: Vec<L2Advertisement>,
    /// BGP peers and advertisements.
    pub bgp: Bgp,
    /// The rules that drain nodes. An option, not an object: each model inherits it from the one before.
    pub drain: DrainRules,
    /// Which addresses count as a Service's. An option, too.
    pub addresses: AddressRule,
}

impl Model {
    /// Returns the part of a model that the next one depends on.
    pub(crate) fn remainder(&self) -> Self {
        let (pools, bgp, drain) = (self.pools.clone(), self.bgp.clone(), self.drain.clone());
        let l2_advertisements = self.l2_advertisements.clone();
        Self { pools, bgp, drain, l2_advertisements, addresses: self.addresses, ..Self::default() }
    }

    /// Returns the addresses whose next hops must be resolved: the primary address of every other node.
    pub fn addresses_to_resolve(&self, own: &NodeName) -> BTreeSet<IpAddr> {
        self.nodes.iter().filter(|(name, _)| *name != own).map(|(_, node)| node.primary()).collect()
    }
}
