//! Events: what came of a Service's wish, told once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use lb_api::objects::{Object, Sourced};
use lb_ipam::{AllocationError, Decision, ServiceChange};
use lb_model::ServiceName;

use super::plan::Decided;
use lb_kube::events::{self, Events};
use lb_kube::snapshot::Snapshot;

/// What is told of a Service: whether somebody must act, reason and words.
type News = (bool, &'static str, String);

const NORMAL: bool = false;
const WARNING: bool = true;

pub(super) struct Teller {
    events: Events,
    /// What has been told of each Service; what is told by a write is not among it.
    told: BTreeMap<ServiceName, Vec<News>>,
}

impl Teller {
    pub(super) fn new(events: Events) -> Self {
        Self { events, told: BTreeMap::new() }
    }

    /// Tells what is new.
    pub(super) fn tell(&mut self, snapshot: &Snapshot, decided: &Decided) {
        let mut news = BTreeMap::<ServiceName, Vec<News>>::new();
        for (name, change) in &decided.changes {
            let decision = decided.allocation.decisions.get(name);
            news.entry(name.clone()).or_default().extend(of_change(change, decision));
        }
        let mut standing = standing(decided);
        for (name, facts) in &standing {
            let told = self.told.get(name);
            let new = facts.iter().filter(|fact| told.is_none_or(|told| !told.contains(fact)));
            news.entry(name.clone()).or_default().extend(new.cloned());
        }
        news.retain(|_, news| !news.is_empty());
        if !news.is_empty() {
            for (name, fact) in self.offer(snapshot, news) {
                // What is the case tomorrow as well is told then.
                if let Some(facts) = standing.get_mut(&name) {
                    facts.retain(|other| *other != fact);
                }
            }
        }
        self.told = standing;
    }

    /// Offers what is new, and says for what of it there is no room.
    fn offer(
        &self,
        snapshot: &Snapshot,
        mut news: BTreeMap<ServiceName, Vec<News>>,
    ) -> Vec<(ServiceName, News)> {
        let mut refused = Vec::new();
        for object in &snapshot.objects {
            let Object::Service(_) = &object.value else { continue };
            let name = name(object);
            for (warning, reason, note) in news.remove(&name).unwrap_or_default() {
                let regarding = reference(object);
                let offered =
                    events::News { regarding, warning, reason, note: note.clone(), action: "Allocate" };
                if !self.events.offer(offered) {
                    refused.push((name.clone(), (warning, reason, note)));
                }
            }
        }
        refused
    }
}

/// What is told when it is written.
fn of_change(change: &ServiceChange, decision: Option<&Decision>) -> Vec<News> {
    let mut news = Vec::new();
    if let Some(cleared) = decision.and_then(|decision| decision.cleared.as_ref()) {
        news.push((NORMAL, "ClearAssignment", format!("The address is taken back: {cleared}")));
    }
    match change {
        ServiceChange::Give { addresses, .. } if decision.is_some_and(|decision| decision.is_news) => {
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let words = format!("Assigned IP [{}]", list.join(" "));
            news.push((NORMAL, "IPAllocated", words));
        }
        ServiceChange::Give { .. } | ServiceChange::Clear { .. } => {}
    }
    news
}

/// What is the case for as long as it lasts, and told when it begins.
fn standing(decided: &Decided) -> BTreeMap<ServiceName, Vec<News>> {
    let mut standing = BTreeMap::<ServiceName, Vec<News>>::new();
    for (name, decision) in &decided.allocation.decisions {
        if let Some(refused) = &decision.refused {
            standing
                .entry(name.clone())
                .or_default()
                .push(of_refusal(refused, decision.assignment.is_some()));
        }
    }
    for (name, keys) in &decided.deprecated {
        let facts = keys.iter().map(|key| {
            let words = format!("metallb.universe.tf/{key} is an old name; write metallb.io/{key}");
            (WARNING, "deprecatedAnnotation", words)
        });
        standing.entry(name.clone()).or_default().extend(facts);
    }
    for problem in &decided.problems {
        let Some(object) = problem.object.as_ref().filter(|object| object.kind == "Service") else {
            continue;
        };
        let name = ServiceName {
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone(),
        };
        let fact = (WARNING, "LoadBalancerFailed", problem.to_string());
        standing.entry(name).or_default().push(fact);
    }
    standing
}

fn of_refusal(refused: &AllocationError, has_one: bool) -> News {
    if has_one {
        (NORMAL, "AdditionalAssignFailed", format!("No second address: {refused}"))
    } else {
        (WARNING, refused.event_reason(), format!("No address: {refused}"))
    }
}

fn name(object: &Sourced<Object>) -> ServiceName {
    ServiceName {
        namespace: object.value.namespace().unwrap_or_default().to_owned(),
        name: object.value.metadata().name.clone(),
    }
}

fn reference(object: &Sourced<Object>) -> ObjectReference {
    let metadata = object.value.metadata();
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Service".to_owned()),
        name: Some(metadata.name.clone()),
        namespace: object.value.namespace().map(str::to_owned),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        ..ObjectReference::default()
    }
}
