//! What is meant: valid values with references resolved and conflicts decided.
//!
//! This is the only place that knows both the written objects and the domain. Whatever is in a [`Model`] can
//! be acted on; what could not be is a [`Problem`] beside it.

mod advertisement;
mod bgp;
mod duration;
mod endpoints;
mod name;
mod node;
mod pool;
mod service;

pub use advertisement::L2Advertisement;
pub use bgp::{BfdProfile, Bgp, BgpAdvertisement, Endpoint, Password, Peer, RemoteAs};
pub use endpoints::Endpoints;
pub use name::{NodeName, PoolName, Protocol, ServiceName};
pub use node::Node;
pub use pool::{AddressRange, Pool, Pools, ServiceAllocation};
pub use service::{Service, ServiceVip, TrafficPolicy};

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::net::IpAddr;

use crate::objects::{Object, Sourced};
use crate::problem::{Problem, Reason};

/// Everything that is wanted, valid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Pools of addresses.
    pub pools: Pools,
    /// Services that are to be served and have an address.
    pub services: BTreeMap<ServiceName, Service>,
    /// Nodes of the cluster.
    pub nodes: BTreeMap<NodeName, Node>,
    /// Which pools are announced on the local network, and by whom.
    pub l2_advertisements: Vec<L2Advertisement>,
    /// What is announced by BGP, and to whom.
    pub bgp: Bgp,
}

/// Objects by kind, namespace and name: the order in which conflicts are decided, on every machine alike.
type Unique<'a> = BTreeMap<(&'static str, Option<&'a str>, &'a str), &'a Sourced<Object>>;

impl Model {
    /// The model of all objects, and what is wrong with them. `class` is the load-balancer class to serve;
    /// `None` serves the Services that name none.
    pub fn build(objects: &[Sourced<Object>], class: Option<&str>) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let unique = unique(objects, &mut problems);
        let of_kind = || unique.values().copied();
        let pools = Pools::build(of_kind(), &mut problems);
        let nodes = node::build(of_kind(), &mut problems);
        let slices = endpoints::index(of_kind());
        let context = service::Context { pools: &pools, nodes: &nodes, slices: &slices, class };
        let services = service::build(of_kind(), &context, &mut problems);
        let l2_advertisements = advertisement::build(of_kind());
        let bgp = Bgp::build(&unique, &pools, &nodes, &mut problems);
        (Self { pools, services, nodes, l2_advertisements, bgp }, problems)
    }

    /// The addresses whose ways the facts should tell: the primary address of every other node.
    pub fn addresses_to_resolve(&self, own: &NodeName) -> BTreeSet<IpAddr> {
        self.nodes.iter().filter(|(name, _)| *name != own).map(|(_, node)| node.primary()).collect()
    }
}

/// The first of each object, and a problem for every other.
fn unique<'a>(objects: &'a [Sourced<Object>], problems: &mut Vec<Problem>) -> Unique<'a> {
    let mut unique = Unique::new();
    for object in objects {
        let value = &object.value;
        match unique.entry((value.kind(), value.namespace(), &value.metadata().name)) {
            Entry::Vacant(free) => {
                free.insert(object);
            }
            Entry::Occupied(first) => {
                let (source_name, line) = (first.get().source.clone(), first.get().line);
                problems.push(Problem::of(object, Reason::Duplicate { source_name, line }));
            }
        }
    }
    unique
}

#[cfg(test)]
mod tests;
