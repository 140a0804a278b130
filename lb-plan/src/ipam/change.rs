//! What has to be written so that Services hold what was decided.

use std::borrow::Borrow;
use std::net::IpAddr;

use super::Allocation;
use super::outcome::Decision;
use crate::model::{PoolName, ServiceName};
use lb_api::objects::{self, Object, Sourced};

/// Says of which pool a Service's addresses are.
const POOL_ANNOTATION: &str = "metallb.io/ip-allocated-from-pool";

/// A write to one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These addresses are written to its status, and the pool's name to its annotation.
    Give {
        /// At most one of each family, IPv4 first.
        addresses: Vec<IpAddr>,
        /// Their pool.
        pool: PoolName,
    },
    /// Both are taken away.
    Clear,
}

impl Change {
    /// The annotation that says of which pool a Service's addresses are.
    pub const ANNOTATION: &'static str = POOL_ANNOTATION;
}

/// The writes from what Services hold to what was decided, in the order of `objects`; nothing for those that
/// hold it already. A Service that wants no address any more, and still has one from here, is cleared.
pub fn changes<O: Borrow<Sourced<Object>>>(
    objects: &[O],
    class: Option<&str>,
    allocation: &Allocation,
) -> Vec<(ServiceName, Change)> {
    let mut changes = Vec::new();
    for object in objects.iter().map(O::borrow) {
        let Object::Service(service) = &object.value else { continue };
        let name = ServiceName {
            namespace: object.value.namespace().unwrap_or_default().to_owned(),
            name: service.metadata.name.clone(),
        };
        let change = match allocation.decisions.get(&name) {
            Some(decision) => toward(decision, service),
            None => leftover(service, class),
        };
        changes.extend(change.map(|change| (name, change)));
    }
    changes
}

fn toward(decision: &Decision, service: &objects::Service) -> Option<Change> {
    let Some(wanted) = &decision.assignment else {
        return (!held(service).is_empty() || pool(service).is_some()).then_some(Change::Clear);
    };
    let is_there = held(service) == wanted.addresses && pool(service) == Some(&wanted.pool.name);
    let give = || Change::Give { addresses: wanted.addresses.clone(), pool: wanted.pool.clone() };
    (!is_there).then(give)
}

/// A Service of another class is none of ours, and one that asks for what cannot be read keeps what it has.
fn leftover(service: &objects::Service, class: Option<&str>) -> Option<Change> {
    let spec = &service.spec;
    let is_ours = spec.load_balancer_class.as_deref() == class;
    let wants_none = spec.r#type.as_deref() != Some("LoadBalancer");
    (is_ours && wants_none && pool(service).is_some()).then_some(Change::Clear)
}

fn held(service: &objects::Service) -> Vec<IpAddr> {
    let ingress = service.status.load_balancer.ingress.iter();
    ingress.filter_map(|entry| entry.ip.as_deref()?.parse().ok()).collect()
}

fn pool(service: &objects::Service) -> Option<&String> {
    service.metadata.annotations.get(POOL_ANNOTATION)
}
