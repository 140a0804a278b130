//! A Service of our class under validation.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_api::objects::{self, EndpointSlice, Object, Sourced};
use lb_api::problem::{Problem, Reason};

use super::claims::{Claims, PortKey};
use super::{AddressRule, Service, TrafficPolicy};
use crate::name::{NodeName, Protocol};
use crate::node::Node;
use crate::order::ObjectHandle;
use crate::pool::{Namespaces, Pools};
use crate::source_ranges::SourceRanges;

/// The context of validation.
pub(crate) struct Context<'a> {
    pub(crate) pools: &'a Pools,
    pub(crate) nodes: &'a BTreeMap<NodeName, Node>,
    pub(crate) class: Option<&'a str>,
    pub(crate) addresses: AddressRule,
    /// Labels of namespaces.
    pub(crate) namespaces: &'a Namespaces,
}

/// The terms on which a Service is served.
struct Terms {
    policy: TrafficPolicy,
    affinity: bool,
    sources: SourceRanges,
    addresses: Vec<IpAddr>,
}

/// A Service of our class under validation.
pub(super) struct Candidate<'a> {
    pub(super) object: &'a Sourced<Object>,
    pub(super) written: &'a objects::Service,
    /// Ordered by rank.
    pub(super) slices: &'a [&'a EndpointSlice],
    pub(super) context: &'a Context<'a>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Candidate<'a> {
    /// Returns `None` for other kinds, types and classes. A Service without a class belongs to the load
    /// balancer that serves no class in particular.
    pub(super) fn of(
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

    /// Returns the ports of addresses that it claims, whichever Service gets them.
    pub(super) fn claims(mut self) -> Vec<PortKey> {
        let Some(Terms { addresses, .. }) = self.terms() else { return Vec::new() };
        let ports = self.written.spec.ports.iter();
        let ports = ports.filter_map(|it| Some((it.port.get(), Protocol::parse(it.protocol.as_deref())?)));
        ports.flat_map(|(port, protocol)| addresses.iter().map(move |it| (*it, port, protocol))).collect()
    }

    /// Returns the valid Service and its problems.
    pub(super) fn judge(mut self, claims: &Claims<impl ObjectHandle>) -> (Option<Service>, Vec<Problem>) {
        let Some(Terms { policy, affinity, sources, addresses }) = self.terms() else {
            return (None, self.problems);
        };
        self.report_unrestricted(&sources, &addresses);
        let vips = self.vips(&addresses, policy, claims);
        let labels = self.written.metadata.labels.clone();
        (Some(Service { policy, affinity, sources, labels, vips }), self.problems)
    }

    /// Returns its terms if it can be served.
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

    pub(super) fn refuse(&mut self, field: impl Into<String>, reason: Reason) {
        self.problems.push(Problem::at(self.object, field, reason));
    }
}
