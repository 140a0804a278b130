//! What would come of objects: which addresses Services would get, and who would announce them, to whom.
//!
//! Nothing of it needs a machine or a cluster. What objects do not say, because only a cluster knows it, is
//! assumed, and the assumption is told.

mod service;

pub use service::ServiceForecast;

use std::collections::BTreeMap;

use lb_api::objects::{Ingress, Object, Sourced};
use lb_api::problem::{Problem, Reason, Severity};
use serde::Serialize;

use crate::admission;
use crate::ipam::{Allocation, Allocator, FamilyPolicy, IpFamily, Request, Usage, Wishes, wishes};
use crate::model::{Endpoint, Endpoints, Model, NodeName, Peer, PoolName, RemoteAs, ServiceName};

/// What would come of objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Forecast {
    /// What is not done, or would be refused.
    pub errors: Vec<Problem>,
    /// What is done, and most likely not meant.
    pub warnings: Vec<Problem>,
    /// What the objects do not say.
    pub assumptions: Vec<Assumption>,
    /// How many Nodes there are.
    pub nodes: usize,
    /// The pools, by name.
    pub pools: Vec<PoolForecast>,
    /// The routers, by the names of their objects.
    pub peers: Vec<PeerForecast>,
    /// The Services, by name.
    pub services: Vec<ServiceForecast>,
}

/// What the objects do not say, and so is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Assumption {
    /// There is no Node.
    #[error(
        "no Node is among the objects, so it is not shown which nodes announce (`kubectl get nodes -o yaml`)"
    )]
    NoNodes,
    /// There is no EndpointSlice.
    #[error("no EndpointSlice is among the objects: every Service is taken to have ready pods on every node")]
    EndpointsEverywhere,
    /// Some Service has no cluster address.
    #[error("a Service without clusterIPs is taken to be of the IP versions that it asks for")]
    FamiliesAsAsked,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolForecast {
    /// Its name.
    pub name: PoolName,
    /// Its entries, as first and last address.
    pub ranges: Vec<String>,
    /// How many addresses Services have and could have.
    pub usage: Usage,
    /// Whether addresses are given to Services that do not ask for it.
    pub auto_assign: bool,
    /// Names of the L2Advertisements that are for it, as far as there are any.
    pub by_l2: bool,
    /// The BGPAdvertisements that are for it.
    pub by_bgp: Vec<String>,
}

/// A router.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerForecast {
    /// Name of its object.
    pub name: String,
    /// Its address, or the interface that it is on.
    pub router: String,
    /// Our AS number.
    pub my_asn: u32,
    /// Its AS number, or `internal` or `external`.
    pub peer_asn: String,
    /// Whether the way to it is watched by BFD.
    pub bfd: bool,
    /// Nodes that speak to it.
    pub nodes: Vec<NodeName>,
}

/// What would come of objects of a load-balancer class; `namespace` is where objects of `metallb.io` count.
pub fn forecast(objects: &[Sourced<Object>], class: Option<&str>, namespace: &str) -> Forecast {
    let mut forecast = Forecast::default();
    let (pools, _) = Model::build(objects, class);
    let mut wishes = wishes(objects, class);
    if assume_families(&mut wishes.requests, &pools) {
        forecast.assumptions.push(Assumption::FamiliesAsAsked);
    }
    let allocation = Allocator::new().allocate(&pools.pools, &wishes.namespaces, &wishes.requests);
    let given = give(objects, &allocation);
    let (mut model, problems) = Model::build(&given, class);
    if model.nodes.is_empty() {
        forecast.assumptions.push(Assumption::NoNodes);
    }
    if assume_endpoints(&given, &mut model) {
        forecast.assumptions.push(Assumption::EndpointsEverywhere);
    }
    forecast.judge(objects, problems, &wishes, &allocation, &model, namespace);
    forecast.nodes = model.nodes.len();
    forecast.pools = pool_forecasts(&model, &allocation);
    forecast.peers = model.bgp.peers.iter().map(|(name, peer)| peer_forecast(name, peer, &model)).collect();
    forecast.services = service::forecasts(&model, &allocation);
    forecast
}

impl Forecast {
    fn judge(
        &mut self,
        objects: &[Sourced<Object>],
        problems: Vec<Problem>,
        wishes: &Wishes,
        allocation: &Allocation,
        model: &Model,
        namespace: &str,
    ) {
        let further = admission::further(objects, model, namespace);
        let all = problems.into_iter().chain(wishes.problems.iter().cloned());
        for problem in all.filter(|problem| problem.severity() == Severity::Error) {
            // A Secret is seldom written beside what names it, and pods come and go.
            let passes = matches!(
                problem.reason,
                Reason::UnknownReference { kind: "Secret", .. }
                    | Reason::EndpointNodeUnknown { .. }
                    | Reason::EndpointWithoutNode
            );
            let among = if passes { &mut self.warnings } else { &mut self.errors };
            if !among.contains(&problem) {
                among.push(problem);
            }
        }
        self.errors.extend(further.refused);
        self.warnings.extend(further.warnings);
        for object in objects {
            self.errors.extend(not_allocated(object, allocation));
            self.warnings.extend(not_announced(object, model));
        }
        let place = |problem: &Problem| (problem.source.clone(), problem.line, problem.field.clone());
        self.errors.sort_by_key(place);
        self.warnings.sort_by_key(place);
    }
}

fn not_allocated(object: &Sourced<Object>, allocation: &Allocation) -> Option<Problem> {
    let Object::Service(service) = &object.value else { return None };
    let name = ServiceName {
        namespace: object.value.namespace().unwrap_or_default().to_owned(),
        name: service.metadata.name.clone(),
    };
    let refused = allocation.decisions.get(&name)?.refused.as_ref()?;
    Some(Problem::of(object, Reason::NotAllocated { words: refused.to_string() }))
}

fn not_announced(object: &Sourced<Object>, model: &Model) -> Option<Problem> {
    let Object::IpAddressPool(pool) = &object.value else { return None };
    let (name, pool) = model.pools.iter().find(|(name, _)| {
        name.name == pool.metadata.name && Some(name.namespace.as_str()) == object.value.namespace()
    })?;
    let by_l2 = model.l2_advertisements.iter().any(|it| it.selects_pool(name, pool));
    let by_bgp = model.bgp.advertisements.iter().any(|it| it.selects_pool(name, pool));
    (!by_l2 && !by_bgp).then(|| Problem::of(object, Reason::PoolNotAnnounced))
}

/// A manifest has no cluster addresses, which an API server fills in. True if some Service has none.
fn assume_families(requests: &mut BTreeMap<ServiceName, Request>, pools: &Model) -> bool {
    let mut assumed = false;
    for request in requests.values_mut().filter(|request| request.families.is_empty()) {
        assumed = true;
        request.families = match request.policy {
            FamilyPolicy::Single => vec![asked_family(request, pools)],
            FamilyPolicy::Prefer | FamilyPolicy::Require => vec![IpFamily::V4, IpFamily::V6],
        };
    }
    assumed
}

fn asked_family(request: &Request, pools: &Model) -> IpFamily {
    let asked = request.addresses.iter().chain(&request.held).next();
    let of_pool = || {
        let wanted = request.pool.as_deref()?;
        let (_, pool) = pools.pools.iter().find(|(name, _)| name.name == wanted)?;
        Some(pool.ranges.first()?.start())
    };
    asked.copied().or_else(of_pool).map_or(IpFamily::V4, IpFamily::of)
}

/// The objects, with each Service having what it would be given.
fn give(objects: &[Sourced<Object>], allocation: &Allocation) -> Vec<Sourced<Object>> {
    let mut given = objects.to_vec();
    for object in &mut given {
        let namespace = object.value.namespace().unwrap_or_default().to_owned();
        let Object::Service(service) = &mut object.value else { continue };
        let name = ServiceName { namespace, name: service.metadata.name.clone() };
        let Some(decision) = allocation.decisions.get(&name) else { continue };
        let addresses = decision.assignment.iter().flat_map(|assignment| &assignment.addresses);
        let ingress = addresses.map(|address| Ingress { ip: Some(address.to_string()) });
        service.status.load_balancer.ingress = ingress.collect();
    }
    given
}

/// Without any EndpointSlice, every Service is served everywhere. True if so.
fn assume_endpoints(objects: &[Sourced<Object>], model: &mut Model) -> bool {
    let knows = objects.iter().any(|object| matches!(object.value, Object::EndpointSlice(_)));
    if knows || model.services.is_empty() {
        return false;
    }
    let by_node: BTreeMap<_, _> = model.nodes.keys().map(|name| (name.clone(), 1)).collect();
    for vip in model.services.values_mut().flat_map(|service| &mut service.vips) {
        vip.endpoints = Endpoints { by_node: by_node.clone(), elsewhere: u32::from(by_node.is_empty()) };
    }
    true
}

fn pool_forecasts(model: &Model, allocation: &Allocation) -> Vec<PoolForecast> {
    let forecast = |(name, pool): (&PoolName, &crate::model::Pool)| {
        let ranges = pool.ranges.iter().map(|range| format!("{}-{}", range.start(), range.end()));
        let by_bgp = model.bgp.advertisements.iter().filter(|it| it.selects_pool(name, pool));
        PoolForecast {
            name: name.clone(),
            ranges: ranges.collect(),
            usage: allocation.usage.get(name).copied().unwrap_or_default(),
            auto_assign: pool.auto_assign,
            by_l2: model.l2_advertisements.iter().any(|it| it.selects_pool(name, pool)),
            by_bgp: by_bgp.map(|it| it.name.clone()).collect(),
        }
    };
    model.pools.iter().map(forecast).collect()
}

fn peer_forecast(name: &str, peer: &Peer, model: &Model) -> PeerForecast {
    let nodes = model.nodes.iter().filter(|(_, node)| peer.selects_node(node));
    PeerForecast {
        name: name.to_owned(),
        router: match &peer.endpoint {
            Endpoint::Address(address) => address.to_string(),
            Endpoint::Interface(interface) => interface.clone(),
        },
        my_asn: peer.my_asn.get(),
        peer_asn: match peer.remote {
            RemoteAs::Exactly(asn) => asn.get().to_string(),
            RemoteAs::Internal => "internal".to_owned(),
            RemoteAs::External => "external".to_owned(),
        },
        bfd: peer.bfd.is_some(),
        nodes: nodes.map(|(name, _)| name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests;
