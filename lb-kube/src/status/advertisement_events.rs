//! Events of an agent: its node has begun to advertise a Service.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use serde_json::Value;

use super::desired::DesiredStatus;
use super::diff::Listing;
use crate::event_reason::EventReason;
use crate::events::{EmittedFacts, EventLimits, EventQueue, NewEvent};

/// The source of the Events, by the name that users of MetalLB know.
const COMPONENT: &str = "metallb-speaker";

/// Namespace and name of a Service.
type Name = (String, String);

/// Emits an Event for every Service that the node begins to advertise.
pub(super) struct AdvertisementEvents {
    events: EventQueue,
    node: String,
    advertised: Advertised,
}

/// The Services that are advertised; `None` before the first update.
#[derive(Debug, Default)]
struct Advertised(Option<EmittedFacts<Name>>);

impl AdvertisementEvents {
    /// Creates the emitter, and the task that writes its Events until it is aborted.
    pub(super) fn new(client: Client, node: String) -> (Self, impl Future<Output = ()>) {
        let (events, task) = EventQueue::new(client, COMPONENT, node.clone(), EventLimits::AGENT);
        (Self { events, node, advertised: Advertised::default() }, task)
    }

    /// Emits what is new. An Event that does not fit into the queue is dropped: it would come too late.
    pub(super) fn update(&mut self, desired: &DesiredStatus, actual: &Listing) {
        let advertised = desired.services().filter_map(|object| name(&object.status)).collect();
        let mut dropped = 0;
        for service in self.advertised.update(advertised, actual) {
            dropped += usize::from(!self.events.try_emit(event(&self.node, service)));
        }
        if dropped > 0 {
            tracing::info!("dropped {dropped} Events nodeAssigned: too many at once");
        }
    }
}

impl Advertised {
    /// Returns the Services that are newly advertised. At the first update, those in the status objects that
    /// a previous agent has left are not new; none is while these objects are not known.
    fn update(&mut self, advertised: BTreeSet<Name>, actual: &Listing) -> Vec<Name> {
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
        emitted.update(advertised, |service| {
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
        reason: EventReason::NodeAssigned,
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

    fn new(advertised: &mut Advertised, services: &[&str], actual: &Listing) -> Vec<String> {
        let services = services.iter().map(|name| ("shop".to_owned(), (*name).to_owned())).collect();
        advertised.update(services, actual).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn a_service_is_new_when_its_advertisement_begins_and_when_it_begins_again() {
        let mut advertised = Advertised::default();
        assert_eq!(new(&mut advertised, &["a"], &Listing::Pending), [] as [&str; 0]);
        assert_eq!(new(&mut advertised, &["a"], &Listing::Undefined), ["a"]);
        assert_eq!(new(&mut advertised, &["a", "b"], &Listing::Pending), ["b"]);
        assert_eq!(new(&mut advertised, &["b"], &Listing::Undefined), [] as [&str; 0]);
        assert_eq!(new(&mut advertised, &["a", "b"], &Listing::Undefined), ["a"]);
    }

    #[test]
    fn a_service_that_a_previous_agent_advertised_is_not_new() {
        let status = serde_json::json!({"serviceNamespace": "shop", "serviceName": "a"});
        let object = ActualObject { status, ..ActualObject::default() };
        let actual = Listing::Objects(BTreeMap::from([("bgp-a".to_owned(), object)]));
        assert_eq!(new(&mut Advertised::default(), &["a", "b"], &actual), ["b"]);
    }
}
