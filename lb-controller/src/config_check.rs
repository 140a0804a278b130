//! The configuration check: reports errors in Events on the objects, and in the controller's
//! ConfigurationState.
//!
//! It is separate from address allocation, which of these kinds needs only pools: if another kind cannot be
//! watched, Services still get their addresses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason};
use lb_model::Model;
use tokio::sync::watch;

use lb_kube::cluster::Cluster;
use lb_kube::config_errors::ConfigErrors;
use lb_kube::event_reason::EventReason;
use lb_kube::events::{EmittedFacts, EventQueue, NewEvent};
use lb_kube::kinds::CONFIGURATION_KINDS;
use lb_kube::leadership::Leadership;
use lb_kube::snapshot::Snapshot;
use lb_kube::status::{DesiredStatus, StatusComponent};
use lb_runtime::watchdog::Heart;

use crate::changes;

/// Time over which changes are collected.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Delay after which Events that did not fit into the queue are emitted again.
const EMIT_RETRY: Duration = Duration::from_secs(10);

/// The configuration check.
pub(super) struct ConfigCheck {
    cluster: Cluster,
    leadership: Leadership,
    events: EventQueue,
    status: watch::Sender<Option<Arc<DesiredStatus>>>,
    /// The last model: objects that have become invalid keep their last valid version.
    model: Model,
    errors: EmittedFacts<ConfigError>,
}

/// An object and its error.
type ConfigError = (ObjectRef, String);

impl ConfigCheck {
    /// Starts to watch the configuration. The desired ConfigurationState is sent to `status`.
    pub(super) fn new(
        client: &Client,
        namespace: &str,
        leadership: Leadership,
        events: EventQueue,
        status: watch::Sender<Option<Arc<DesiredStatus>>>,
    ) -> Self {
        let cluster = Cluster::watch(client, &CONFIGURATION_KINDS, namespace);
        let (model, errors) = (Model::default(), EmittedFacts::default());
        Self { cluster, leadership, events, status, model, errors }
    }

    /// Checks after every change, until the task is aborted.
    pub(super) async fn run(mut self, heart: Heart) {
        let mut retry = false;
        loop {
            let retry_after = retry.then_some(EMIT_RETRY);
            changes::wait(&mut self.cluster, &mut self.leadership, &heart, retry_after, DEBOUNCE).await;
            retry = if self.leadership.is_leader() { !self.check() } else { self.stand_by() };
        }
    }

    /// Another controller leads and reports.
    fn stand_by(&self) -> bool {
        self.status.send_replace(None);
        false
    }

    /// Checks the configuration; returns whether all Events fitted into the queue.
    fn check(&mut self) -> bool {
        let Some(snapshot) = self.cluster.read() else { return true };
        let (model, problems) = Model::after(&self.model, &snapshot.objects, None);
        self.model = model;
        let mut all = snapshot.problems.clone();
        all.extend(problems);
        // The controller may not read Secrets: agents report errors in them.
        all.retain(|problem| !matches!(problem.reason, Reason::UnknownReference { kind: "Secret", .. }));
        let ConfigErrors { pools, others } = ConfigErrors::of(all.iter());
        let mut status = DesiredStatus::default();
        status.set_configuration(StatusComponent::Controller, &pools, &others);
        self.status.send_replace(Some(Arc::new(status)));
        self.emit(&snapshot, &all)
    }

    fn emit(&mut self, snapshot: &Snapshot, problems: &[Problem]) -> bool {
        let objects: BTreeMap<ObjectRef, &Sourced<Object>> =
            snapshot.objects.iter().map(|object| (object.value.reference(), &**object)).collect();
        let errors = problems.iter().filter_map(config_error);
        self.errors.update(errors, |(object, note)| {
            self.events.try_emit(event(object, objects.get(object).copied(), note))
        })
    }
}

fn config_error(problem: &Problem) -> Option<ConfigError> {
    // That the last valid version stays in use is part of the error itself.
    let object = problem.object.clone().filter(|_| problem.reason != Reason::StaysAsBefore)?;
    let note = match &problem.field {
        Some(field) => format!("{field}: {}", problem.reason),
        None => problem.reason.to_string(),
    };
    Some((object, note.replace(['\n', '\r'], " ")))
}

fn event(reference: &ObjectRef, object: Option<&Sourced<Object>>, note: &str) -> NewEvent {
    let kind = CONFIGURATION_KINDS.iter().find(|kind| reference.is(**kind));
    let metadata = object.map(|object| object.value.metadata());
    let regarding = ObjectReference {
        api_version: kind.map(|kind| kind.api_version()),
        kind: Some(reference.kind.clone()),
        name: Some(reference.name.clone()),
        namespace: reference.namespace.clone(),
        uid: metadata.and_then(|metadata| metadata.uid.clone()),
        resource_version: metadata.and_then(|metadata| metadata.resource_version.clone()),
        ..ObjectReference::default()
    };
    NewEvent {
        regarding,
        reason: EventReason::ConfigurationError,
        note: note.to_owned(),
        action: "Configure",
    }
}
