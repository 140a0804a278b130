//! What has to be written so that Services hold what was decided.

use std::borrow::Borrow;
use std::net::IpAddr;

use super::Allocation;
use super::decision::Decision;
use lb_api::objects::{self, Object, Sourced};
use lb_model::{PoolName, ServiceName};

/// Says of which pool a Service's addresses are.
const POOL_ANNOTATION: &str = "metallb.io/ip-allocated-from-pool";
/// Says which addresses a Service was given last. It stays when they are taken back, so that the Service gets them again
/// when their pool is back, also from a controller that was started meanwhile.
const LAST_ANNOTATION: &str = "fairlead.io/last-addresses";

/// A write to one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceChange {
    /// These addresses are written to its status, and the pool's name to its annotation.
    Give {
        /// At most one of each family, IPv4 first.
        addresses: Vec<IpAddr>,
        /// Their pool.
        pool: PoolName,
    },
    /// Both are taken away.
    Clear {
        /// Addresses that the Service is to get again if it can; none where it wants none any more.
        last: Vec<IpAddr>,
    },
}

impl ServiceChange {
    /// The annotation that says of which pool a Service's addresses are.
    pub const ANNOTATION: &'static str = POOL_ANNOTATION;
    /// The annotation that says which addresses a Service was given last.
    pub const LAST_ADDRESSES: &'static str = LAST_ANNOTATION;

    /// Whether addresses are only taken away.
    pub fn is_clear(&self) -> bool {
        matches!(self, Self::Clear { .. })
    }
}

/// The writes from what Services hold to what was decided, in the order of `objects`; nothing for those that
/// hold it already. A Service that wants no address any more, and still has one from here, is cleared.
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

fn toward(decision: &Decision, service: &objects::Service) -> Option<ServiceChange> {
    let Some(wanted) = &decision.assignment else {
        let held = held(service);
        let has_any = !held.is_empty() || pool(service).is_some();
        return has_any.then_some(ServiceChange::Clear { last: held });
    };
    let is_there = held(service) == wanted.addresses && pool(service) == Some(&wanted.pool.name);
    let give = || ServiceChange::Give { addresses: wanted.addresses.clone(), pool: wanted.pool.clone() };
    (!is_there).then(give)
}

/// A Service of another class is none of ours, and one that asks for what cannot be read keeps what it has. One that is no
/// load balancer any more has lost its class with its type, so it is cleared whatever it was.
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
