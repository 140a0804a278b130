//! Which ports a Service has, and who serves them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Candidate, ServiceVip, Taken, TrafficPolicy};
use crate::model::endpoints::{self, Target};
use crate::model::name::Protocol;
use lb_api::problem::{Problem, Reason};

impl<'a> Candidate<'a> {
    /// Every address with every port that is served and that no Service before has.
    pub(super) fn vips(
        &mut self,
        addresses: &[IpAddr],
        policy: TrafficPolicy,
        taken: &mut Taken<'a>,
    ) -> Vec<ServiceVip> {
        let mut vips = Vec::new();
        let mut survey = Survey::default();
        for (i, port) in self.written.spec.ports.iter().enumerate() {
            let Some(protocol) = Protocol::parse(port.protocol.as_deref()) else {
                let protocol = port.protocol.clone().unwrap_or_default();
                let reason = Reason::UnservedProtocol { protocol, port: port.port.get() };
                self.refuse(format!("spec.ports[{i}].protocol"), reason);
                continue;
            };
            for &address in addresses {
                if !self.take(taken, i, (address, port.port.get(), protocol)) {
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

    fn take(&mut self, taken: &mut Taken<'a>, i: usize, key: (IpAddr, u16, Protocol)) -> bool {
        if let Some(by) = taken.get(&key) {
            let (address, port, protocol) = key;
            let metadata = (by.value.namespace().unwrap_or_default(), &by.value.metadata().name);
            let by = format!("{}/{}", metadata.0, metadata.1);
            let reason = Reason::PortTaken { address, port, protocol: protocol.name(), by };
            self.refuse(format!("spec.ports[{i}].port"), reason);
            return false;
        }
        taken.insert(key, self.object);
        true
    }

    fn endpoints(&self, target: Target<'_>, survey: &mut Survey<'a>) -> crate::model::Endpoints {
        let census = endpoints::count(&endpoints::serving(self.slices, target), self.context.nodes);
        survey.unknown_nodes.extend(census.unknown_nodes);
        survey.without_node |= census.without_node;
        census.endpoints
    }

    /// Tells what the survey has found once a Service, and not once for every port and address.
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

/// What was found on the way through a Service's ports.
#[derive(Default)]
struct Survey<'a> {
    unknown_nodes: BTreeSet<&'a str>,
    without_node: bool,
    /// Number of each port → whether it is served on every address.
    served: BTreeMap<usize, bool>,
}

impl Survey<'_> {
    fn note_served(&mut self, port: usize, served: bool) {
        *self.served.entry(port).or_insert(true) &= served;
    }
}
