//! What would come of objects, before anybody runs them: who gets which address, and who is told of it.
//!
//! For manifests that are not in a cluster yet, and for a cluster that another load balancer serves. What is not
//! among the objects is not held against them: without Nodes it is not said which of them announce, without
//! EndpointSlices all Services count as served, and a Service without cluster addresses has those that it asks for.

mod announced;
mod offline;

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason, Severity};
use serde::Serialize;

use crate::admission;
pub use announced::{BgpPreview, PeerPreview, PoolPreview};
use lb_ipam::{Allocator, Decision, requests};
use lb_model::{AddressRule, Model, ServiceName};
use lb_plan::speaker;

/// What would come of objects.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// What is wrong, in the order of files, lines and objects.
    pub problems: Vec<Problem>,
    /// The pools, and who is told of them.
    pub pools: BTreeMap<String, PoolPreview>,
    /// The routers.
    pub peers: BTreeMap<String, PeerPreview>,
    /// The Services that want an address.
    pub services: Vec<ServicePreview>,
}

/// What would come of a Service.
#[derive(Clone, Debug, Serialize)]
pub struct ServicePreview {
    /// Its name.
    pub service: ServiceName,
    /// Its addresses, as far as it gets any.
    pub addresses: Vec<IpAddr>,
    /// The pool that they are of.
    pub pool: Option<String>,
    /// Whether it holds them already.
    pub held: bool,
    /// Why it gets none, or fewer than it asks for.
    pub refused: Option<String>,
    /// What each node tells routers of it; empty where no Nodes are known.
    pub bgp: Vec<BgpPreview>,
}

impl ServicePreview {
    /// Whether it gets no address though it wants one.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some() && self.addresses.is_empty()
    }
}

/// Looks at all objects, and at what could not be read of them; `class` is the load-balancer class to serve.
pub fn preview(objects: &[Sourced<Object>], unread: Vec<Problem>, class: Option<&str>) -> Preview {
    let mut objects = offline::completed(objects);
    let (model, _) = Model::build(&objects, class);
    let requests = requests(&objects, class);
    let allocation = Allocator::new().allocate(&model.pools, &requests.namespaces, &requests.requests);
    offline::give(&mut objects, &allocation.decisions);
    // What was not given is not served, whoever asks for it.
    let before = Model { addresses: AddressRule::Held, ..Model::default() };
    let (model, problems) = Model::after(&before, &objects, class);
    let mut all = unread;
    all.extend(speaker::contested(&model));
    all.extend(problems.into_iter().chain(requests.problems).chain(admission::dangling(&objects)));
    all.retain(|problem| !offline::is_expected(problem, &objects));
    all.sort_by(|one, other| place(one).cmp(&place(other)));
    all.dedup();
    let services = announced::services(&model);
    let preview = |(name, decision): (&ServiceName, &Decision)| {
        let bgp = services.get(name).cloned().unwrap_or_default();
        let held = requests.requests.get(name).map_or(&[][..], |request| &request.held);
        service(name, decision, held, bgp)
    };
    Preview {
        problems: all,
        pools: announced::pools(&model, &allocation.usage),
        peers: announced::peers(&model),
        services: allocation.decisions.iter().map(preview).collect(),
    }
}

fn service(name: &ServiceName, decision: &Decision, held: &[IpAddr], bgp: Vec<BgpPreview>) -> ServicePreview {
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
    /// Those problems that keep something from being done, without what only waits for something to come.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| !is_warning(&problem.reason))
    }

    /// How many things keep something from being done: problems, and Services that get no address.
    pub fn error_count(&self) -> usize {
        let refused = self.services.iter().filter(|service| service.is_refused());
        self.errors().count() + refused.count()
    }

    /// How many things wait for something that may still come.
    pub fn warning_count(&self) -> usize {
        self.problems.len() - self.errors().count()
    }
}

/// Whether a reason is one to know and not one to act on: what is referred to may still come.
pub fn is_warning(reason: &Reason) -> bool {
    admission::is_pending(reason) || reason.severity() == Severity::Notice
}

#[cfg(test)]
mod tests;
