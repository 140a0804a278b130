//! Services that are to be served.

mod address;
mod port;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::endpoints::{Endpoints, Slices};
use super::name::{NodeName, Protocol, ServiceName};
use super::node::Node;
use super::pool::Pools;
use super::table::Table;
use lb_api::objects::{self, EndpointSlice, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// A Service that is to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Which nodes may serve it.
    pub policy: TrafficPolicy,
    /// Whether all flows of a client go to one node.
    pub affinity: bool,
    /// Labels, for advertisements that select by them.
    pub labels: BTreeMap<String, String>,
    /// Each address with each port, without those that another Service has.
    pub vips: Vec<ServiceVip>,
}

/// Which nodes may serve a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TrafficPolicy {
    /// All: a node passes on what it has no endpoint for.
    Cluster,
    /// Those with an endpoint.
    Local,
}

/// One port of one address of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceVip {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// Endpoints of the address's family that can serve it.
    pub endpoints: Endpoints,
}

impl ServiceVip {
    fn key(&self) -> (IpAddr, u16, Protocol) {
        (self.address, self.port, self.protocol)
    }

    /// Whether some node can serve it under a policy.
    pub fn is_served(&self, policy: TrafficPolicy) -> bool {
        match policy {
            TrafficPolicy::Cluster => !self.endpoints.is_empty(),
            TrafficPolicy::Local => !self.endpoints.by_node.is_empty(),
        }
    }
}

/// What a Service is judged against.
pub(super) struct Context<'a> {
    pub(super) pools: &'a Pools,
    pub(super) nodes: &'a BTreeMap<NodeName, Node>,
    pub(super) slices: &'a Slices<'a>,
    pub(super) class: Option<&'a str>,
}

/// Which Service has a port of an address.
type Taken<'a> = Table<(IpAddr, u16, Protocol), &'a Sourced<Object>>;

/// What came of Services, by the places of their objects in memory.
pub(super) type Judgements = Table<usize, Judgement>;

/// What came of a Service.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    /// Places of its EndpointSlices in memory, in their order.
    slices: Vec<usize>,
    service: Option<Arc<Service>>,
    problems: Vec<Problem>,
}

impl Judgement {
    /// Whether judging again would come to the same: no port is taken by another Service, now or then.
    fn holds(&self, slices: &[&EndpointSlice], taken: &Taken<'_>) -> bool {
        let collided = |problem: &Problem| matches!(problem.reason, Reason::PortTaken { .. });
        self.slices.iter().copied().eq(slices.iter().map(|slice| place(*slice)))
            && !self.problems.iter().any(collided)
            && self.vips().all(|vip| !taken.contains_key(&vip.key()))
    }

    fn vips(&self) -> impl Iterator<Item = &ServiceVip> {
        self.service.iter().flat_map(|service| &service.vips)
    }
}

fn place<T>(value: &T) -> usize {
    std::ptr::from_ref(value).addr()
}

pub(super) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    context: &Context<'_>,
    before: &mut Judgements,
    problems: &mut Vec<Problem>,
) -> BTreeMap<ServiceName, Arc<Service>> {
    let mut services = Vec::with_capacity(before.len());
    let mut judgements = Judgements::with_capacity_and_hasher(before.len(), Default::default());
    let mut taken = Taken::with_capacity_and_hasher(before.len(), Default::default());
    for object in objects {
        let Object::Service(written) = &object.value else { continue };
        if !is_ours(written, context.class) {
            continue;
        }
        let (namespace, name) = (object.value.namespace().unwrap_or_default(), &*written.metadata.name);
        let slices = context.slices.get(&(namespace, name)).map_or(&[][..], Vec::as_slice);
        let known = before.remove(&place(object)).filter(|known| known.holds(slices, &taken));
        let judgement = known.unwrap_or_else(|| {
            let mut candidate = Candidate { object, written, slices, context, problems: Vec::new() };
            let service = candidate.judge(&mut taken).map(Arc::new);
            let slices = slices.iter().map(|slice| place(*slice)).collect();
            Judgement { slices, service, problems: candidate.problems }
        });
        taken.extend(judgement.vips().map(|vip| (vip.key(), object)));
        problems.extend_from_slice(&judgement.problems);
        if let Some(service) = &judgement.service {
            let name = ServiceName { namespace: namespace.to_owned(), name: name.to_owned() };
            services.push((name, Arc::clone(service)));
        }
        judgements.insert(place(object), judgement);
    }
    *before = judgements;
    services.into_iter().collect()
}

/// A Service with no class is for the load balancer that serves no class in particular.
fn is_ours(written: &objects::Service, class: Option<&str>) -> bool {
    let spec = &written.spec;
    spec.r#type.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.as_deref() == class
}

/// A Service of ours while it is judged.
struct Candidate<'a> {
    object: &'a Sourced<Object>,
    written: &'a objects::Service,
    slices: &'a [&'a EndpointSlice],
    context: &'a Context<'a>,
    problems: Vec<Problem>,
}

impl<'a> Candidate<'a> {
    fn judge(&mut self, taken: &mut Taken<'a>) -> Option<Service> {
        let policy = self.policy();
        let affinity = self.affinity();
        let addresses = self.addresses();
        let (policy, affinity) = (policy?, affinity?);
        if addresses.is_empty() {
            return None;
        }
        let vips = self.vips(&addresses, policy, taken);
        let labels = self.written.metadata.labels.clone();
        Some(Service { policy, affinity, labels, vips })
    }

    fn policy(&mut self) -> Option<TrafficPolicy> {
        match self.written.spec.external_traffic_policy.as_deref() {
            None | Some("" | "Cluster") => Some(TrafficPolicy::Cluster),
            Some("Local") => Some(TrafficPolicy::Local),
            Some(written) => self.unknown("spec.externalTrafficPolicy", written, "Cluster, Local"),
        }
    }

    fn affinity(&mut self) -> Option<bool> {
        match self.written.spec.session_affinity.as_deref() {
            None | Some("" | "None") => Some(false),
            Some("ClientIP") => Some(true),
            Some(written) => self.unknown("spec.sessionAffinity", written, "None, ClientIP"),
        }
    }

    fn unknown<T>(&mut self, field: &str, written: &str, allowed: &'static str) -> Option<T> {
        self.refuse(field, Reason::UnknownValue { written: written.to_owned(), allowed });
        None
    }

    fn refuse(&mut self, field: impl Into<String>, reason: Reason) {
        self.problems.push(Problem::at(self.object, field, reason));
    }
}
