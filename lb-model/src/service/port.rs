//! The ports of a Service and their endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::candidate::Candidate;
use super::claims::{Claims, PortKey};
use super::{ServiceVip, TrafficPolicy};
use crate::endpoints::{self, Endpoints, Target};
use crate::name::{Protocol, ServiceName};
use crate::order::ObjectHandle;
use lb_api::problem::{Problem, Reason};

impl<'a> Candidate<'a> {
    /// Returns every address with every supported port that the Service gets.
    pub(super) fn vips(
        &mut self,
        addresses: &[IpAddr],
        policy: TrafficPolicy,
        claims: &Claims<impl ObjectHandle>,
    ) -> Vec<ServiceVip> {
        let mut vips: Vec<ServiceVip> = Vec::new();
        let mut survey = Survey::default();
        for (i, port) in self.written.spec.ports.iter().enumerate() {
            let Some(protocol) = Protocol::parse(port.protocol.as_deref()) else {
                let protocol = port.protocol.clone().unwrap_or_default();
                let reason = Reason::UnservedProtocol { protocol, port: port.port.get() };
                self.refuse(format!("spec.ports[{i}].protocol"), reason);
                continue;
            };
            for &address in addresses {
                let key = (address, port.port.get(), protocol);
                if let Some(by) = self.holder(key, claims, &vips) {
                    let reason = Reason::PortTaken { address, port: key.1, protocol: protocol.name(), by };
                    self.refuse(format!("spec.ports[{i}].port"), reason);
                    continue;
                }
                let target =
                    Target { address, protocol, port_name: port.name.as_deref().unwrap_or_default() };
                let endpoints = self.endpoints(target, &mut survey);
                let vip = ServiceVip { address, port: port.port.get(), protocol, endpoints };
                survey.note_served(i, vip.is_served(policy));
                vips.push(vip);
            }
        }
        self.report(&survey, policy);
        vips
    }

    /// Returns the current holder of a port: another Service, or this one by an earlier port.
    fn holder(
        &self,
        key: PortKey,
        claims: &Claims<impl ObjectHandle>,
        vips: &[ServiceVip],
    ) -> Option<String> {
        let holder = claims.holder(key)?;
        let is_free = std::ptr::eq(holder, self.object)
            && !vips.iter().any(|vip| (vip.address, vip.port, vip.protocol) == key);
        (!is_free).then(|| ServiceName::of(holder).to_string())
    }

    fn endpoints(&self, target: Target<'_>, survey: &mut Survey<'a>) -> Endpoints {
        let census = endpoints::count(&endpoints::serving(self.slices, target), self.context.nodes);
        survey.unknown_nodes.extend(census.unknown_nodes);
        survey.without_node |= census.without_node;
        census.endpoints
    }

    /// Reports the survey's results once for each Service, and not for each port and address.
    fn report(&mut self, survey: &Survey<'_>, policy: TrafficPolicy) {
        for node in &survey.unknown_nodes {
            let reason = Reason::EndpointNodeUnknown { node: (*node).to_owned() };
            self.problems.push(Problem::of(self.object, reason));
        }
        if survey.without_node && policy == TrafficPolicy::Local {
            self.problems.push(Problem::of(self.object, Reason::EndpointWithoutNode));
        }
        if survey.served.values().any(|served| *served) {
            for (i, _) in survey.served.iter().filter(|(_, served)| !**served) {
                self.refuse(format!("spec.ports[{i}]"), Reason::NoServingEndpoint);
            }
        } else if !survey.served.is_empty() {
            self.problems.push(Problem::of(self.object, Reason::NoServingEndpoint));
        }
    }
}

/// Findings about a Service's ports.
#[derive(Default)]
struct Survey<'a> {
    unknown_nodes: BTreeSet<&'a str>,
    without_node: bool,
    /// Position of each port → whether it is served on every address.
    served: BTreeMap<usize, bool>,
}

impl Survey<'_> {
    fn note_served(&mut self, port: usize, served: bool) {
        *self.served.entry(port).or_insert(true) &= served;
    }
}
