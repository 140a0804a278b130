//! Events: what came of a Service's wish, told once.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use lb_api::objects::{Object, Sourced};
use lb_plan::ipam::{Change, Decision, Refusal};
use lb_plan::model::ServiceName;

use super::AT_ONCE;
use super::decide::Decided;
use crate::snapshot::Snapshot;

/// Who tells, by the name that users of MetalLB know.
const REPORTER: &str = "metallb-controller";

/// What is told of a Service: reason and words.
type News = (EventType, &'static str, String);

pub(super) struct Teller {
    recorder: Recorder,
    /// What has been told of each Service; what is told by a write is not among it.
    told: BTreeMap<ServiceName, Vec<News>>,
}

impl Teller {
    pub(super) fn new(client: Client, identity: String) -> Self {
        let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(identity) };
        Self { recorder: Recorder::new(client, reporter), told: BTreeMap::new() }
    }

    /// Tells what is new. An Event that cannot be written is only an Event.
    pub(super) async fn tell(&mut self, snapshot: &Snapshot, decided: &Decided) {
        let mut news = BTreeMap::<ServiceName, Vec<News>>::new();
        for (name, change) in &decided.changes {
            let decision = decided.allocation.decisions.get(name);
            news.entry(name.clone()).or_default().extend(of_change(change, decision));
        }
        let standing = standing(decided);
        for (name, facts) in &standing {
            let told = self.told.get(name);
            let new = facts.iter().filter(|fact| told.is_none_or(|told| !told.contains(fact)));
            news.entry(name.clone()).or_default().extend(new.cloned());
        }
        self.told = standing;
        if news.values().all(Vec::is_empty) {
            return;
        }
        let services = snapshot.objects.iter().filter(|object| matches!(object.value, Object::Service(_)));
        let told = services.flat_map(|object| {
            let facts = news.remove(&name(object)).unwrap_or_default();
            facts.into_iter().map(move |fact| (object, fact))
        });
        let recorder = &self.recorder;
        let told = told.map(|(object, fact)| publish(recorder, object, fact));
        stream::iter(told).for_each_concurrent(AT_ONCE, |told| told).await;
    }
}

async fn publish(recorder: &Recorder, object: &Sourced<Object>, (type_, reason, note): News) {
    let (reason, action) = (reason.to_owned(), "Allocate".to_owned());
    let event = Event { type_, reason, note: Some(note), action, secondary: None };
    if let Err(error) = recorder.publish(&event, &reference(object)).await {
        tracing::debug!(service = %name(object), %error, "the Event cannot be written");
    }
}

/// What is told when it is written.
fn of_change(change: &Change, decision: Option<&Decision>) -> Vec<News> {
    let mut news = Vec::new();
    if let Some(cleared) = decision.and_then(|decision| decision.cleared.as_ref()) {
        news.push((EventType::Normal, "ClearAssignment", format!("The address is taken back: {cleared}")));
    }
    match change {
        Change::Give { addresses, .. } if decision.is_some_and(|decision| decision.is_news) => {
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let words = format!("Assigned IP [{}]", list.join(" "));
            news.push((EventType::Normal, "IPAllocated", words));
        }
        Change::Give { .. } | Change::Clear => {}
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
            (EventType::Warning, "deprecatedAnnotation", words)
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
        let fact = (EventType::Warning, "LoadBalancerFailed", problem.to_string());
        standing.entry(name).or_default().push(fact);
    }
    standing
}

fn of_refusal(refused: &Refusal, has_one: bool) -> News {
    if has_one {
        (EventType::Normal, "AdditionalAssignFailed", format!("No second address: {refused}"))
    } else {
        (EventType::Warning, refused.event_reason(), format!("No address: {refused}"))
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
