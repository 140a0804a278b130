//! The changes to Services that carry out the decisions.

use std::borrow::Borrow;
use std::net::IpAddr;

use super::Allocation;
use super::decision::AllocationDecision;
use lb_api::objects::{self, Object, Sourced};
use lb_model::{PoolName, ServiceName};

/// The pool of a Service's addresses.
const POOL_ANNOTATION: &str = "metallb.io/ip-allocated-from-pool";
/// The last addresses of a Service. The annotation stays when they are released, so that the Service gets
/// them again when their pool returns, even from a controller that was started meanwhile.
const LAST_ANNOTATION: &str = "fairlead.io/last-addresses";

/// A change to one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceChange {
    /// Writes these addresses to its status, and the pool's name to its annotation.
    Give {
        /// At most one of each family, IPv4 first.
        addresses: Vec<IpAddr>,
        /// Their pool.
        pool: PoolName,
    },
    /// Removes both.
    Clear {
        /// Addresses that the Service gets again if possible; empty if it requests none any more.
        last: Vec<IpAddr>,
    },
}

impl ServiceChange {
    /// The annotation with the pool of a Service's addresses.
    pub const ANNOTATION: &'static str = POOL_ANNOTATION;
    /// The annotation with the last addresses of a Service.
    pub const LAST_ADDRESSES: &'static str = LAST_ANNOTATION;

    /// Returns whether addresses are only removed.
    pub fn is_clear(&self) -> bool {
        matches!(self, Self::Clear { .. })
    }
}

/// Returns the changes from what Services hold to what was decided, in the order of `objects`; none for
/// Services that hold it already. A Service that requests no address any more, and still has one from this
/// allocator, is cleared.
pub fn changes<O: Borrow<Sourced<Object>>>(
    objects: &[O],
    allocation: &Allocation,
) -> Vec<(ServiceName, ServiceChange)> {
    let mut changes = Vec::new();
    for object in objects.iter().map(O::borrow) {
        let Object::Service(service) = &object.value else { continue };
        let name = ServiceName {
            namespace: object.value.namespace().unwrap_or_default().to_owned(),
            name: service.metadata.name.clone(),
        };
        let change = match allocation.decisions.get(&name) {
            Some(decision) => toward(decision, service),
            None => leftover(service),
        };
        changes.extend(change.map(|change| (name, change)));
    }
    changes
}

fn toward(decision: &AllocationDecision, service: &objects::Service) -> Option<ServiceChange> {
    let Some(wanted) = &decision.assignment else {
        let held = held(service);
        let has_any = !held.is_empty() || pool(service).is_some();
        return has_any.then_some(ServiceChange::Clear { last: held });
    };
    let is_there = held(service) == wanted.addresses && pool(service) == Some(&wanted.pool.name);
    let give = || ServiceChange::Give { addresses: wanted.addresses.clone(), pool: wanted.pool.clone() };
    (!is_there).then(give)
}

/// A Service of another class is left alone, and one with an invalid request keeps its addresses. One that
/// has another type now has lost its class with it, so it is cleared whatever its class was.
fn leftover(service: &objects::Service) -> Option<ServiceChange> {
    let wants_none = service.spec.r#type.as_deref() != Some("LoadBalancer");
    let has_any = pool(service).is_some() || service.metadata.annotations.contains_key(LAST_ANNOTATION);
    (wants_none && has_any).then(|| ServiceChange::Clear { last: Vec::new() })
}

fn held(service: &objects::Service) -> Vec<IpAddr> {
    let ingress = service.status.load_balancer.ingress.iter();
    ingress.filter_map(|entry| entry.ip.as_deref()?.parse().ok()).collect()
}

fn pool(service: &objects::Service) -> Option<&String> {
    service.metadata.annotations.get(POOL_ANNOTATION)
}
