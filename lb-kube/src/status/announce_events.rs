//! Events of an agent: its node has begun to announce a Service.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use serde_json::Value;

use super::desired::DesiredStatus;
use super::diff::Listing;
use crate::events::{EmittedFacts, EventLimits, EventQueue, NewEvent};

/// The source of the Events, by the name that users of MetalLB know.
const COMPONENT: &str = "metallb-speaker";

/// Namespace and name of a Service.
type Name = (String, String);

/// Emits an Event for every Service that the node begins to announce.
pub(super) struct AnnounceEvents {
    events: EventQueue,
    node: String,
    announced: Announced,
}

/// The Services that are announced; `None` before the first update.
#[derive(Debug, Default)]
struct Announced(Option<EmittedFacts<Name>>);

impl AnnounceEvents {
    /// Creates the emitter, and the task that writes its Events until it is aborted.
    pub(super) fn new(client: Client, node: String) -> (Self, impl Future<Output = ()>) {
        let (events, task) = EventQueue::new(client, COMPONENT, node.clone(), EventLimits::AGENT);
        (Self { events, node, announced: Announced::default() }, task)
    }

    /// Emits what is new. An Event that does not fit into the queue is dropped: it would come too late.
    pub(super) fn update(&mut self, desired: &DesiredStatus, actual: &Listing) {
        let announced = desired.services().filter_map(|object| name(&object.status)).collect();
        let mut dropped = 0;
        for service in self.announced.update(announced, actual) {
            dropped += usize::from(!self.events.try_emit(event(&self.node, service)));
        }
        if dropped > 0 {
            tracing::info!(dropped, "not emitting all Events of announced Services: too many at once");
        }
    }
}

impl Announced {
    /// Returns the Services that are newly announced. At the first update, those in the status objects that a previous
    /// agent has left are not new; none is while these objects are not known.
    fn update(&mut self, announced: BTreeSet<Name>, actual: &Listing) -> Vec<Name> {
        let emitted = match (&mut self.0, actual) {
            (Some(emitted), _) => emitted,
            (None, Listing::Pending) => return Vec::new(),
            (None, Listing::Undefined) => self.0.insert(EmittedFacts::default()),
            (None, Listing::Objects(objects)) => {
                let previous = objects.values().filter_map(|object| name(&object.status));
                self.0.insert(EmittedFacts::new(previous))
            }
        };
        let mut new = Vec::new();
        emitted.update(announced, |service| {
            new.push(service.clone());
            true
        });
        new
    }
}

fn event(node: &str, (namespace, name): Name) -> NewEvent {
    NewEvent {
        regarding: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(namespace),
            name: Some(name),
            ..ObjectReference::default()
        },
        is_warning: false,
        reason: "nodeAssigned",
        note: format!("announcing from node {node:?} with protocol \"bgp\""),
        action: "Announce",
    }
}

fn name(status: &Value) -> Option<Name> {
    let text = |key: &str| Some(status.get(key)?.as_str()?.to_owned());
    Some((text("serviceNamespace")?, text("serviceName")?))
}

#[cfg(test)]
mod tests {
    use super::super::diff::ActualObject;
    use super::*;
    use std::collections::BTreeMap;

    fn new(announced: &mut Announced, services: &[&str], actual: &Listing) -> Vec<String> {
        let services = services.iter().map(|name| ("shop".to_owned(), (*name).to_owned())).collect();
        announced.update(services, actual).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn a_service_is_new_when_its_announcement_begins_and_when_it_begins_again() {
        let mut announced = Announced::default();
        assert_eq!(new(&mut announced, &["a"], &Listing::Pending), [] as [&str; 0]);
        assert_eq!(new(&mut announced, &["a"], &Listing::Undefined), ["a"]);
        assert_eq!(new(&mut announced, &["a", "b"], &Listing::Pending), ["b"]);
        assert_eq!(new(&mut announced, &["b"], &Listing::Undefined), [] as [&str; 0]);
        assert_eq!(new(&mut announced, &["a", "b"], &Listing::Undefined), ["a"]);
    }

    #[test]
    fn a_service_that_a_previous_agent_announced_is_not_new() {
        let status = serde_json::json!({"serviceNamespace": "shop", "serviceName": "a"});
        let object = ActualObject { status, ..ActualObject::default() };
        let actual = Listing::Objects(BTreeMap::from([("bgp-a".to_owned(), object)]));
        assert_eq!(new(&mut Announced::default(), &["a", "b"], &actual), ["b"]);
    }
}
