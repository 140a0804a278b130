//! What is meant: valid values with references resolved and conflicts decided.
//!
//! This is the only place that knows both the written objects and the domain. Whatever is in a [`Model`] can
//! be acted on; what could not be is a [`Problem`] beside it.

mod advertisement;
mod bgp;
mod drain;
mod duration;
mod endpoints;
mod modeller;
mod name;
mod node;
mod pool;
mod service;
mod standing;
mod table;

pub use advertisement::L2Advertisement;
pub use bgp::{BfdProfile, Bgp, BgpAdvertisement, Endpoint, Password, Peer, RemoteAs};
pub use drain::{DrainCause, DrainRules, Mark, RuleError, TaintRule};
pub use endpoints::Endpoints;
pub(crate) use endpoints::SERVICE_LABEL;
pub use modeller::Modeller;
pub use name::{NodeName, PoolName, Protocol, ServiceName};
pub use node::Node;
pub use pool::{AddressRange, Pool, Pools, ServiceAllocation};
pub use service::{Service, ServiceVip, TrafficPolicy};

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};
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
        Self::recalling(before, objects, class, &mut Recollection::default())
    }

    /// The same, where what came of Services before is recalled.
    fn recalling<O: Borrow<Sourced<Object>>>(
        before: &Self,
        objects: &[O],
        class: Option<&str>,
        recollection: &mut Recollection,
    ) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let ordered = ordered(objects.iter().map(O::borrow), &mut problems);
        let of_kind = || ordered.iter().copied();
        let pools = Pools::build(of_kind(), &before.pools, &mut problems);
        let nodes = node::build(of_kind(), &before.drain, &mut problems);
        let slices = endpoints::index(of_kind());
        let context = service::Context { pools: &pools, nodes: &nodes, slices: &slices, class };
        let services = service::build(of_kind(), &context, recollection.of(&context), &mut problems);
        let l2_advertisements = advertisement::build(of_kind());
        let bgp = Bgp::build(&ordered, &pools, &nodes, &before.bgp, &mut problems);
        let drain = before.drain.clone();
        (Self { pools, services, nodes, l2_advertisements, bgp, drain }, problems)
    }

    /// The addresses whose ways the facts should tell: the primary address of every other node.
    pub fn addresses_to_resolve(&self, own: &NodeName) -> BTreeSet<IpAddr> {
        self.nodes.iter().filter(|(name, _)| *name != own).map(|(_, node)| node.primary()).collect()
    }
}

/// The first of each object, and a problem for every other; in the order in which conflicts are decided, on every
/// machine alike: what was made first comes first, then what is first by kind, namespace and name.
fn ordered<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    problems: &mut Vec<Problem>,
) -> Vec<&'a Sourced<Object>> {
    let mut ordered: Vec<_> = objects.collect();
    let key = |object: &&'a Sourced<Object>| {
        (object.value.kind(), object.value.namespace(), &object.value.metadata().name)
    };
    // Mostly in this order already, by which it is quick.
    ordered.sort_by_key(key);
    ordered.dedup_by(|object, first| {
        let is_double = key(object) == key(first);
        if is_double {
            let (source_name, line) = (first.source.clone(), first.line);
            problems.push(Problem::of(object, Reason::Duplicate { source_name, line }));
        }
        is_double
    });
    ordered.sort_by_key(|object| object.value.metadata().creation_timestamp.as_deref());
    ordered
}

#[cfg(test)]
mod tests;
