//! Events of an agent about Services: its node has begun to advertise or announce one, or cannot.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use serde_json::Value;

use super::desired::DesiredStatus;
use super::diff::Listing;
use super::kind::StatusKind;
use super::warning::ServiceWarning;
use crate::event_reason::EventReason;
use crate::events::{EmittedFacts, EventLimits, EventQueue, NewEvent};

/// The source of the Events, by the name that users of MetalLB know.
const COMPONENT: &str = "metallb-speaker";
/// The action of the Events.
const ACTION: &str = "Announce";
/// The kinds of objects that exist while the node makes a Service known, and the protocols.
const PROTOCOLS: [(StatusKind, &str); 2] =
    [(StatusKind::ServiceBgp, "bgp"), (StatusKind::ServiceL2, "layer2")];

/// Namespace and name of a Service.
type Name = (String, String);

/// Emits an Event for every Service that the node begins to advertise or to announce, and for every warning.
pub(super) struct ServiceEvents {
    events: EventQueue,
    node: String,
    assigned: [Assigned; PROTOCOLS.len()],
    warned: EmittedFacts<ServiceWarning>,
}

/// The Services that the node makes known by a protocol; `None` before the first update.
#[derive(Debug, Default)]
struct Assigned(Option<EmittedFacts<Name>>);

impl ServiceEvents {
    /// Creates the emitter, and the task that writes its Events until it is aborted.
    pub(super) fn new(client: Client, node: String) -> (Self, impl Future<Output = ()>) {
        let (events, task) = EventQueue::new(client, COMPONENT, node.clone(), EventLimits::AGENT);
        let (assigned, warned) = Default::default();
        (Self { events, node, assigned, warned }, task)
    }

    /// Emits what is new. An Event that does not fit into the queue is dropped: it would come too late.
    pub(super) fn update(&mut self, desired: &DesiredStatus, actual: &BTreeMap<StatusKind, Listing>) {
        let mut dropped = 0;
        let mut emit = |event| dropped += usize::from(!self.events.try_emit(event));
        for ((kind, protocol), assigned) in PROTOCOLS.into_iter().zip(&mut self.assigned) {
            let services = desired.of_kind(kind).filter_map(|object| name(&object.status)).collect();
            let actual = actual.get(&kind).unwrap_or(&Listing::Undefined);
            for service in assigned.update(services, actual) {
                emit(node_assigned(&self.node, protocol, service));
            }
        }
        self.warned.update(desired.warnings.iter().cloned(), |warning| {
            emit(warning_event(warning));
            true
        });
        if dropped > 0 {
            tracing::info!("dropped {dropped} Events about Services: too many at once");
        }
    }
}

impl Assigned {
    /// Returns the Services that are new. At the first update, those in the status objects that a previous
    /// agent has left are not new; none is while these objects are not known.
    fn update(&mut self, services: BTreeSet<Name>, actual: &Listing) -> Vec<Name> {
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
        emitted.update(services, |service| {
            new.push(service.clone());
            true
        });
        new
    }
}

fn node_assigned(node: &str, protocol: &str, service: Name) -> NewEvent {
    let note = format!("announcing from node {node:?} with protocol {protocol:?}");
    NewEvent { regarding: reference(service), reason: EventReason::NodeAssigned, note, action: ACTION }
}

fn warning_event(warning: &ServiceWarning) -> NewEvent {
    let ServiceWarning { namespace, service, reason, note, .. } = warning.clone();
    NewEvent { regarding: reference((namespace, service)), reason, note, action: ACTION }
}

fn reference((namespace, name): Name) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Service".to_owned()),
        namespace: Some(namespace),
        name: Some(name),
        ..ObjectReference::default()
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

    fn new(assigned: &mut Assigned, services: &[&str], actual: &Listing) -> Vec<String> {
        let services = services.iter().map(|name| ("shop".to_owned(), (*name).to_owned())).collect();
        assigned.update(services, actual).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn a_service_is_new_when_its_assignment_begins_and_when_it_begins_again() {
        let mut assigned = Assigned::default();
        assert_eq!(new(&mut assigned, &["a"], &Listing::Pending), [] as [&str; 0]);
        assert_eq!(new(&mut assigned, &["a"], &Listing::Undefined), ["a"]);
        assert_eq!(new(&mut assigned, &["a", "b"], &Listing::Pending), ["b"]);
        assert_eq!(new(&mut assigned, &["b"], &Listing::Undefined), [] as [&str; 0]);
        assert_eq!(new(&mut assigned, &["a", "b"], &Listing::Undefined), ["a"]);
    }

    #[test]
    fn a_service_of_a_previous_agent_is_not_new() {
        let status = serde_json::json!({"serviceNamespace": "shop", "serviceName": "a"});
        let object = ActualObject { status, ..ActualObject::default() };
        let actual = Listing::Objects(BTreeMap::from([("bgp-a".to_owned(), object)]));
        assert_eq!(new(&mut Assigned::default(), &["a", "b"], &actual), ["b"]);
    }

    #[test]
    fn the_notes_name_node_and_protocol_as_metallb_does() {
        let notes = PROTOCOLS.map(|(_, it)| node_assigned("n1", it, ("shop".into(), "a".into())).note);
        assert_eq!(
            notes,
            [
                "announcing from node \"n1\" with protocol \"bgp\"",
                "announcing from node \"n1\" with protocol \"layer2\"",
            ]
        );
    }
}
