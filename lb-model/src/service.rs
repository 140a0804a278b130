//! Services that are to be served.

mod address;
mod claims;
mod port;
mod sources;
mod subjects;

pub use sources::SourceRanges;
pub(super) use subjects::Subjects;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::endpoints::Endpoints;
use super::name::{NodeName, Protocol};
use super::node::Node;
use super::order::Held;
use super::pool::{Namespaces, Pools};
use claims::Claims;
use lb_api::objects::{self, EndpointSlice, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// A Service that is to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Which nodes may serve it.
    pub policy: TrafficPolicy,
    /// Whether all flows of a client go to one node.
    pub affinity: bool,
    /// The clients that it admits.
    pub sources: SourceRanges,
    /// Labels, for advertisements that select by them.
    pub labels: BTreeMap<String, String>,
    /// Each address with each port, without those that another Service has.
    pub vips: Vec<ServiceVip>,
}

/// Which addresses count as a Service's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressRule {
    /// Those in its status, or else those that it asks for: where no controller fills in a status. Who holds an address
    /// comes before who asks for it, and a pool that is kept for others is not asked.
    #[default]
    HeldOrAsked,
    /// Those in its status alone: on a cluster, where a controller decides about what is asked for.
    Held,
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

/// What only one Service can have.
type VipKey = (IpAddr, u16, Protocol);

impl ServiceVip {
    fn key(&self) -> VipKey {
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

/// What Services are judged against.
pub(super) struct Context<'a> {
    pub(super) pools: &'a Pools,
    pub(super) nodes: &'a BTreeMap<NodeName, Node>,
    pub(super) class: Option<&'a str>,
    pub(super) addresses: AddressRule,
    /// Labels of namespaces.
    pub(super) namespaces: &'a Namespaces,
}

/// What a Service is to be served by.
struct Terms {
    policy: TrafficPolicy,
    affinity: bool,
    sources: SourceRanges,
    addresses: Vec<IpAddr>,
}

/// A Service of ours while it is judged.
struct Candidate<'a> {
    object: &'a Sourced<Object>,
    written: &'a objects::Service,
    /// In the order of their ranks.
    slices: &'a [&'a EndpointSlice],
    context: &'a Context<'a>,
    problems: Vec<Problem>,
}

impl<'a> Candidate<'a> {
    /// `None` for what is no Service, or not for us. One with no class is for the load balancer that serves no class
    /// in particular.
    fn of(
        object: &'a Sourced<Object>,
        slices: &'a [&'a EndpointSlice],
        context: &'a Context<'a>,
    ) -> Option<Self> {
        let Object::Service(written) = &object.value else { return None };
        let spec = &written.spec;
        let is_ours = spec.r#type.as_deref() == Some("LoadBalancer")
            && spec.load_balancer_class.as_deref() == context.class;
        is_ours.then_some(Self { object, written, slices, context, problems: Vec::new() })
    }

    /// The ports of addresses that it wants, whoever has them.
    fn claims(mut self) -> Vec<VipKey> {
        let Some(Terms { addresses, .. }) = self.terms() else { return Vec::new() };
        let ports = self.written.spec.ports.iter();
        let ports = ports.filter_map(|it| Some((it.port.get(), Protocol::parse(it.protocol.as_deref())?)));
        ports.flat_map(|(port, protocol)| addresses.iter().map(move |it| (*it, port, protocol))).collect()
    }

    /// Whether it only asks for addresses and holds none.
    fn only_asks(&self) -> bool {
        address::held(self.written).is_empty()
    }

    /// What comes of it, and what is wrong with it.
    fn judge(mut self, claims: &Claims<impl Held>) -> (Option<Service>, Vec<Problem>) {
        let Some(Terms { policy, affinity, sources, addresses }) = self.terms() else {
            return (None, self.problems);
        };
        self.report_unrestricted(&sources, &addresses);
        let vips = self.vips(&addresses, policy, claims);
        let labels = self.written.metadata.labels.clone();
        (Some(Service { policy, affinity, sources, labels, vips }), self.problems)
    }

    /// Its terms, if it can be served by them.
    fn terms(&mut self) -> Option<Terms> {
        let policy = self.policy();
        let affinity = self.affinity();
        let sources = self.sources();
        let addresses = self.addresses();
        let terms = Terms { policy: policy?, affinity: affinity?, sources: sources?, addresses };
        (!terms.addresses.is_empty()).then_some(terms)
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
