//! The preview of objects before they are in force: the addresses of Services and their advertisements.
//!
//! It serves manifests that are not in a cluster yet, and clusters that another load balancer serves. Missing
//! objects are not errors: without Nodes it does not say which of them announce, without EndpointSlices all
//! Services count as served, and a Service without cluster addresses gets those of the families that it asks
//! for.

mod advertised;
mod offline;

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason, Severity};
use serde::Serialize;

use crate::admission;
pub use advertised::{BgpPreview, PeerPreview, PoolPreview};
use lb_ipam::{AllocationDecision, Allocator, requests};
use lb_model::{AddressRule, Model, ServiceName};
use lb_plan::speaker;

/// The effect of objects.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// The problems, ordered by file, line and object.
    pub problems: Vec<Problem>,
    /// The pools, and how they are advertised.
    pub pools: BTreeMap<String, PoolPreview>,
    /// The BGP peers.
    pub peers: BTreeMap<String, PeerPreview>,
    /// The Services that request an address.
    pub services: Vec<ServicePreview>,
}

/// The effect of a Service.
#[derive(Clone, Debug, Serialize)]
pub struct ServicePreview {
    /// Its name.
    pub service: ServiceName,
    /// Its addresses, if it gets any.
    pub addresses: Vec<IpAddr>,
    /// Their pool.
    pub pool: Option<String>,
    /// Whether it holds them already.
    pub held: bool,
    /// Why it gets none, or fewer than it requests.
    pub refused: Option<String>,
    /// Its advertisements by each node; empty if no Nodes are known.
    pub bgp: Vec<BgpPreview>,
}

impl ServicePreview {
    /// Returns whether it requests an address and gets none.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some() && self.addresses.is_empty()
    }
}

/// Previews objects; `unread` are the problems of those that could not be read, and `class` is the
/// load-balancer class to serve.
pub fn preview(objects: &[Sourced<Object>], unread: Vec<Problem>, class: Option<&str>) -> Preview {
    let mut objects = offline::completed(objects);
    let (model, _) = Model::build(&objects, class);
    let requests = requests(&objects, class);
    let allocation = Allocator::new().allocate(&model.pools, &requests.namespaces, &requests.requests);
    offline::give(&mut objects, &allocation.decisions);
    // Only allocated addresses are served, whatever is requested.
    let before = Model { addresses: AddressRule::Held, ..Model::default() };
    let (model, problems) = Model::after(&before, &objects, class);
    let mut all = unread;
    all.extend(speaker::contested(&model));
    all.extend(problems.into_iter().chain(requests.problems).chain(admission::dangling(&objects)));
    all.retain(|problem| !offline::is_expected(problem, &objects));
    all.sort_by(|one, other| place(one).cmp(&place(other)));
    all.dedup();
    let services = advertised::services(&model);
    let preview = |(name, decision): (&ServiceName, &AllocationDecision)| {
        let bgp = services.get(name).cloned().unwrap_or_default();
        let held = requests.requests.get(name).map_or(&[][..], |request| &request.held);
        service(name, decision, held, bgp)
    };
    Preview {
        problems: all,
        pools: advertised::pools(&model, &allocation.usage),
        peers: advertised::peers(&model),
        services: allocation.decisions.iter().map(preview).collect(),
    }
}

fn service(
    name: &ServiceName,
    decision: &AllocationDecision,
    held: &[IpAddr],
    bgp: Vec<BgpPreview>,
) -> ServicePreview {
    let assignment = decision.assignment.as_ref();
    let addresses = assignment.map(|it| it.addresses.clone()).unwrap_or_default();
    ServicePreview {
        service: name.clone(),
        held: !addresses.is_empty() && addresses.iter().all(|address| held.contains(address)),
        addresses,
        pool: assignment.map(|it| it.pool.to_string()),
        refused: decision.refused.as_ref().map(ToString::to_string),
        bgp,
    }
}

type Place<'a> = (Option<&'a str>, Option<usize>, Option<&'a str>);

fn place(problem: &Problem) -> Place<'_> {
    (problem.source.as_deref(), problem.line, problem.field.as_deref())
}

impl Preview {
    /// Returns the problems that are errors, without those that only wait for other objects.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| !is_warning(&problem.reason))
    }

    /// Returns the number of errors: problems, and Services without an address.
    pub fn error_count(&self) -> usize {
        let refused = self.services.iter().filter(|service| service.is_refused());
        self.errors().count() + refused.count()
    }

    /// Returns the number of problems that wait for objects that may still be created.
    pub fn warning_count(&self) -> usize {
        self.problems.len() - self.errors().count()
    }
}

/// Returns whether a reason is a warning and not an error: the missing object may still be created.
pub fn is_warning(reason: &Reason) -> bool {
    admission::is_pending(reason) || reason.severity() == Severity::Notice
}

#[cfg(test)]
mod tests;
