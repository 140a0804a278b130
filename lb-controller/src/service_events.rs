//! Events about Services: their address, or why they have none.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use lb_api::kind::ObjectKind;
use lb_api::objects::{Object, Sourced};
use lb_ipam::{AllocationDecision, AllocationError, ServiceChange};
use lb_model::ServiceName;

use super::plan::{AllocationPlan, service_name};
use lb_kube::event_reason::EventReason;
use lb_kube::events::{EmittedFacts, EventQueue, NewEvent};
use lb_kube::snapshot::Snapshot;

/// Reason and note of an Event.
type Message = (EventReason, String);

/// Emits Events about Services.
pub(super) struct ServiceEvents {
    events: EventQueue,
    /// Conditions that last; an Event about a write is emitted with the write.
    conditions: EmittedFacts<(ServiceName, Message)>,
}

impl ServiceEvents {
    pub(super) fn new(events: EventQueue) -> Self {
        Self { events, conditions: EmittedFacts::default() }
    }

    /// Emits Events about the changes of a plan, and about conditions that are new.
    pub(super) fn emit(&mut self, snapshot: &Snapshot, plan: &AllocationPlan) {
        let services: BTreeMap<ServiceName, &Sourced<Object>> = snapshot
            .objects
            .iter()
            .filter(|object| matches!(object.value, Object::Service(_)))
            .map(|object| (service_name(object), &**object))
            .collect();
        // A Service that is not in the snapshot gets no Event.
        let emit = |name: &ServiceName, (reason, note): &Message| {
            services.get(name).is_none_or(|service| {
                self.events.try_emit(NewEvent {
                    regarding: reference(service),
                    reason: *reason,
                    note: note.clone(),
                    action: "Allocate",
                })
            })
        };
        for (name, change) in &plan.changes {
            for message in of_change(change, plan.allocation.decisions.get(name)) {
                emit(name, &message);
            }
        }
        self.conditions.update(conditions(plan), |(name, message)| emit(name, message));
    }
}

/// Returns the messages about a change that is written.
fn of_change(change: &ServiceChange, decision: Option<&AllocationDecision>) -> Vec<Message> {
    let mut messages = Vec::new();
    if let Some(cleared) = decision.and_then(|decision| decision.cleared.as_ref()) {
        messages.push((EventReason::ClearAssignment, format!("Address removed: {cleared}")));
    }
    match change {
        ServiceChange::Give { addresses, .. } if decision.is_some_and(|decision| decision.is_new) => {
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            messages.push((EventReason::IpAllocated, format!("Assigned IP [{}]", list.join(" "))));
        }
        ServiceChange::Give { .. } | ServiceChange::Clear { .. } => {}
    }
    messages
}

/// Returns the messages about conditions that last, of which an Event is emitted when they begin.
fn conditions(plan: &AllocationPlan) -> Vec<(ServiceName, Message)> {
    let mut conditions = Vec::new();
    for (name, decision) in &plan.allocation.decisions {
        if let Some(refusal) = &decision.refused {
            conditions.push((name.clone(), of_refusal(refusal, decision.assignment.is_some())));
        }
    }
    for (name, keys) in &plan.deprecated {
        for key in keys {
            let note = format!("annotation metallb.universe.tf/{key} is deprecated; use metallb.io/{key}");
            conditions.push((name.clone(), (EventReason::DeprecatedAnnotation, note)));
        }
    }
    for problem in &plan.problems {
        let Some(object) = problem.object.as_ref().filter(|object| object.is(ObjectKind::SERVICE)) else {
            continue;
        };
        let namespace = object.namespace.clone().unwrap_or_default();
        let name = ServiceName { namespace, name: object.name.clone() };
        conditions.push((name, (EventReason::LoadBalancerFailed, problem.to_string())));
    }
    conditions
}

fn of_refusal(refusal: &AllocationError, has_address: bool) -> Message {
    if has_address {
        (EventReason::AdditionalAssignFailed, format!("No second address: {refusal}"))
    } else {
        (reason_of(refusal), format!("No address: {refusal}"))
    }
}

fn reason_of(refusal: &AllocationError) -> EventReason {
    match refusal {
        AllocationError::NotEnoughClusterAddresses => EventReason::NotEnoughClusterAddresses,
        AllocationError::NoClusterAddress => EventReason::NoClusterAddress,
        AllocationError::Family { .. } | AllocationError::Families => EventReason::NoAddressOfFamily,
        _ => EventReason::AllocationFailed,
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
