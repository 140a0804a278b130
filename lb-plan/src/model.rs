//! What is meant: valid values with references resolved and conflicts decided.
//!
//! This is the only place that knows both the written objects and the domain. Whatever is in a [`Model`] can
//! be acted on; what could not be is a [`Problem`] beside it.

mod address;
mod advertisement;
mod bgp;
mod drain;
mod duration;
mod endpoints;
mod label;
mod lists;
mod modeller;
mod name;
mod node;
mod order;
mod pool;
mod reserved;
mod service;
mod standing;
mod table;
mod target;

pub use advertisement::L2Advertisement;
pub use bgp::{BfdProfile, Bgp, BgpAdvertisement, Endpoint, Password, Peer, RemoteAs};
pub(crate) use bgp::{SECRET_KEY, SECRET_TYPE};
pub use drain::{DrainCause, DrainRules, Mark, RuleError, TaintRule};
pub use endpoints::Endpoints;
pub(crate) use endpoints::SERVICE_LABEL;
pub use modeller::Modeller;
pub use name::{NodeName, PoolName, Protocol, ServiceName};
pub use node::Node;
pub use pool::{AddressRange, Namespaces, Pool, Pools, ServiceAllocation};
pub use reserved::{Owner, Reserved};
pub use service::{AddressRule, Service, ServiceVip, SourceRanges, TrafficPolicy};
pub use target::{Exclusion, Tier, exclusion};

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use modeller::Recollection;

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
    /// The model of all objects, and what is wrong with them, where nothing was accepted before. `class` is the
    /// load-balancer class to serve; `None` serves the Services that name none.
    pub fn build<O: Borrow<Sourced<Object>>>(objects: &[O], class: Option<&str>) -> (Self, Vec<Problem>) {
        Self::after(&Self::default(), objects, class)
    }

    /// The model of all objects after another one: an object that says what `before` has of it is refused for
    /// none that is new, and one that has become wrong stays as it was, as long as it is there at all.
    ///
    /// So it is for pools and for what is told to routers, where a refusal takes addresses or routes away. Which
    /// Node has an address, and which Service a port, does not depend on `before`: of those, machines that have
    /// seen different histories must think alike, or they would make different rings.
    pub fn after<O: Borrow<Sourced<Object>>>(
        before: &Self,
        objects: &[O],
        class: Option<&str>,
    ) -> (Self, Vec<Problem>) {
        let objects: Vec<&Sourced<Object>> = objects.iter().map(O::borrow).collect();
        let mut model = before.remainder();
        let problems = Recollection::default().update(&mut model, &objects, class);
        (model, problems)
    }

    /// What of a model counts for the one after it.
    fn remainder(&self) -> Self {
        let (pools, bgp, drain) = (self.pools.clone(), self.bgp.clone(), self.drain.clone());
        let l2_advertisements = self.l2_advertisements.clone();
        Self { pools, bgp, drain, l2_advertisements, addresses: self.addresses, ..Self::default() }
    }

    /// The addresses whose ways the facts should tell: the primary address of every other node.
    pub fn addresses_to_resolve(&self, own: &NodeName) -> BTreeSet<IpAddr> {
        self.nodes.iter().filter(|(name, _)| *name != own).map(|(_, node)| node.primary()).collect()
    }
}

#[cfg(test)]
mod tests;
