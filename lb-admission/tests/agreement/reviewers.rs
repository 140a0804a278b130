//! The reviewers of objects, and the rules of their agreement.
//!
//! For objects without problems, and one more readable object:
//! - the webhook rejects it if and only if `check` then reports an error in the configuration, given the
//!   Secrets that peers refer to;
//! - an agent that starts has the objects without problems in force, and no others;
//! - agents serve a Service at the addresses that it gets from the controller;
//! - an agent has nothing more to do once it has applied its plan.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_admission::admission::{self, ObjectChange};
use lb_admission::preview::{ServicePreview, preview};
use lb_api::objects::{Ingress, Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason, Severity};
use lb_common::hash::HashKey;
use lb_model::{IncrementalModel, Model};
use lb_plan::contents::{Contents, diff};
use lb_plan::plan::{Facts, Forwarding, LivenessSettings, Planner, Settings, UndeclaredPorts};
use lb_plan::speaker::{self, SpeakerSettings};

type Objects = [Arc<Sourced<Object>>];

/// Returns the webhook's problems with a written object, and whether each is a rejection.
pub(crate) fn webhook(existing: &Objects, new: &Sourced<Object>, unread: &[Problem]) -> Vec<(bool, Problem)> {
    // The webhook does not see Secrets and Services.
    let is_seen = |object: &&Arc<Sourced<Object>>| {
        object.value.kind().is_configuration() || matches!(object.value, Object::Node(_))
    };
    let existing: Vec<_> = existing.iter().filter(is_seen).cloned().collect();
    let reported = unread.iter().map(|problem| (problem.severity() == Severity::Error, problem.clone()));
    let mut reported: Vec<_> = reported.collect();
    if new.value.kind().is_configuration() {
        let secrets = admission::presumed_secrets(existing.iter().map(|object| &**object).chain([new]));
        let existing: Vec<_> = existing.iter().map(|object| &**object).chain(&secrets).collect();
        let verdict = admission::review(&existing, &ObjectChange::Write(new));
        reported.extend(verdict.refusals.into_iter().map(|problem| (true, problem)));
        reported.extend(verdict.warnings.into_iter().map(|problem| (false, problem)));
    }
    reported
}

/// Whether a problem keeps an object that configures the load balancer out of force. A webhook sees no
/// Secrets.
fn is_fault(problem: &Problem) -> bool {
    let is_of_secret = problem.field.as_deref() == Some("spec.passwordSecret")
        && !matches!(problem.reason, Reason::Excludes { .. });
    problem.object.as_ref().is_some_and(ObjectRef::is_configuration)
        && problem.severity() == Severity::Error
        && !admission::is_pending(&problem.reason)
        && !is_of_secret
}

/// Reviews all objects as `check`, the controller and agents do; returns how many Services get addresses.
pub(crate) fn check(objects: &Objects, is_admitted: bool, new: &ObjectRef) -> u64 {
    let mut plain: Vec<Sourced<Object>> = objects.iter().map(|object| Sourced::clone(object)).collect();
    // A webhook presumes that the Secrets of peers exist, so here they do.
    let mut secrets = admission::presumed_secrets(plain.iter());
    secrets.retain(|secret| plain.iter().all(|it| it.value.reference() != secret.value.reference()));
    plain.extend(secrets);
    let looked_at = preview(&plain, Vec::new(), None);
    let faults: Vec<_> = looked_at.problems.iter().filter(|problem| is_fault(problem)).collect();
    if new.is_configuration() {
        let words: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(is_admitted, faults.is_empty(), "the webhook and check contradict each other: {words:#?}");
    }
    let (model, problems) = Model::build(objects, None);
    in_force(objects, &model, &problems);
    let given = looked_at.services.iter().filter(|service| !service.addresses.is_empty());
    let given: Vec<_> = given.collect();
    served(&plain, &given);
    given.len() as u64
}

/// Objects without problems are in force when an agent starts, and no others.
fn in_force(objects: &Objects, model: &Model, problems: &[Problem]) {
    let wrong: BTreeSet<&ObjectRef> = problems
        .iter()
        .filter(|problem| problem.severity() == Severity::Error)
        .filter_map(|problem| problem.object.as_ref())
        .collect();
    for object in objects {
        let name = object.value.reference();
        let namespace = object.value.namespace().unwrap_or_default();
        let is_there = match &object.value {
            Object::IpAddressPool(_) => {
                model.pools.iter().any(|(it, _)| it.namespace == namespace && it.name == name.name)
            }
            Object::BgpPeer(_) => model.bgp.peers.get(&name.name).is_some_and(|it| it.namespace == namespace),
            Object::BgpAdvertisement(_) => {
                model.bgp.advertisements.iter().any(|it| it.key() == (namespace, &name.name))
            }
            _ => continue,
        };
        assert_eq!(is_there, !wrong.contains(&name), "{name}: {problems:#?}");
    }
    let l2 = objects.iter().filter(|object| matches!(object.value, Object::L2Advertisement(_)));
    let right = l2.filter(|object| !wrong.contains(&object.value.reference())).count();
    assert_eq!(model.l2_advertisements.len(), right);
}

/// Services that have got addresses are served at these.
fn served(objects: &[Sourced<Object>], given: &[&ServicePreview]) {
    let mut objects = objects.to_vec();
    for object in &mut objects {
        let Object::Service(service) = &mut object.value else { continue };
        let found = given.iter().find(|it| it.service.name == service.metadata.name);
        let ingress = found.into_iter().flat_map(|it| &it.addresses);
        service.status.load_balancer.ingress =
            ingress.map(|address| Ingress { ip: Some(address.to_string()) }).collect();
        // In a cluster only allocated addresses count, not requested ones.
        service.metadata.annotations.clear();
    }
    let (model, problems) = Model::build(&objects, None);
    for service in given {
        let wrong = problems.iter().find(|problem| {
            problem.severity() == Severity::Error
                && problem
                    .object
                    .as_ref()
                    .is_some_and(|it| it.name == service.service.name && it.kind == "Service")
        });
        assert_eq!(wrong.map(ToString::to_string), None, "agents refuse what the controller gave");
        let found = &model.services[&service.service];
        let found: BTreeSet<IpAddr> = found.vips.iter().map(|vip| vip.address).collect();
        assert_eq!(found, service.addresses.iter().copied().collect(), "{}", service.service);
    }
}

/// An agent that follows all changes.
pub(crate) struct Agent {
    incremental: IncrementalModel,
    planner: Planner,
    installed: Contents,
    time: Duration,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            incremental: IncrementalModel::new(&Model::default()),
            planner: Planner::new(),
            installed: Contents::default(),
            time: Duration::ZERO,
        }
    }
}

impl Agent {
    /// Plans, applies the plan, and finds nothing more to do.
    pub(crate) fn follow(&mut self, objects: &Objects) {
        self.incremental.update(objects, None);
        let settings = settings();
        for turn in 0..2 {
            let model = self.incremental.model();
            let plan = self.planner.plan(model, &Facts::default(), &settings, &self.installed, self.time);
            let operations = diff(&self.installed, &plan.contents);
            assert!(turn == 0 || operations.is_empty(), "{operations:?}");
            operations.iter().for_each(|operation| self.installed.apply(operation));
        }
        for node in self.incremental.model().nodes.keys() {
            assert!(speaker::plan(self.incremental.model(), node, &SpeakerSettings::default()).is_some());
        }
        self.time += Duration::from_secs(1);
    }
}

fn settings() -> Settings {
    Settings {
        liveness: LivenessSettings::default(),
        node: "n1".into(),
        hash_key: HashKey::default(),
        tag_keys: lb_common::tag::TagKeys::derived(&HashKey::default()),
        accept_ipip: false,
        echo_rate: 0,
        icmp_error_rate: 0,
        undeclared: UndeclaredPorts::default(),
        forwarding: Forwarding::Auto,
        slots_per_node: 16,
        ring_capacity: 1 << 12,
        flow_sets: 1 << 17,
        draining: false,
        unhealthy: false,
        ignore_exclude_label: false,
        local_needs_endpoint: false,
        agent_limit: Duration::ZERO,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        weight_settle: Settings::WEIGHT_SETTLE,
    }
}
