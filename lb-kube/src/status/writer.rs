//! The writer of status objects: writes until the server's objects are as desired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{Either, join_all, pending};
use futures::stream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Client, Resource};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::actual::ActualStatus;
use super::desired::{DesiredObject, DesiredStatus};
use super::diff::{Listing, StatusOperation, operations, with_transition_times};
use super::kind::StatusKind;
use super::name;
use super::service_events::ServiceEvents;
use crate::client::error_log::ErrorLog;
use crate::rate_limit::{Backoff, ObjectBackoff, TokenBucket, WriteLimits, WriteOutcome};

/// The field manager of the writes.
const FIELD_MANAGER: &str = "fairlead";
/// Maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 4;
/// Time over which changes are collected.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Interval of reconciles while there is anything left to do.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum backoff of a ConfigurationState: users change the configuration, and look at its status then.
const CONFIGURATION_BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(8) };

/// The owner of the objects to write; all others are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusScope {
    /// The agent of a node.
    Node(String),
    /// The controller.
    Controller,
}

/// The writer of status objects.
pub struct StatusWriter {
    /// The client for reads.
    pub client: Client,
    /// The client for writes; a controller's writes only while it leads.
    pub write_client: Client,
    /// The namespace of the objects.
    pub namespace: String,
    /// The owner of the objects.
    pub scope: StatusScope,
    /// The name of this pod, which owns the objects: they are deleted with it. `None`: they have no owner.
    pub pod: Option<String>,
    /// Rate limits.
    pub limits: WriteLimits,
}

/// The owner reference of the objects.
enum Owner {
    Unknown,
    None,
    Pod(OwnerReference),
}

/// State between reconciles.
struct WriterState {
    start: Instant,
    owner: Owner,
    bucket: TokenBucket,
    backoff: ObjectBackoff<(StatusKind, String)>,
    events: Option<ServiceEvents>,
    log: ErrorLog,
}

impl StatusWriter {
    /// Writes until the task is aborted. Nothing is written or deleted while the desired state is unknown.
    pub async fn run(self, desired: watch::Receiver<Option<Arc<DesiredStatus>>>) {
        let selectors = self.scope.selectors();
        let actual = ActualStatus::new(selectors.iter().map(|(kind, _)| *kind));
        let watches = selectors.iter().map(|(kind, selector)| actual.watch(*kind, self.api(*kind), selector));
        let (events, emit) = match &self.scope {
            StatusScope::Node(node) => {
                let (events, emit) = ServiceEvents::new(self.client.clone(), node.clone());
                (Some(events), Either::Left(emit))
            }
            StatusScope::Controller => (None, Either::Right(pending())),
        };
        tokio::select! {
            _ = join_all(watches) => {}
            () = self.write_all(&actual, desired, events) => {}
            () = emit => {}
        }
    }

    async fn write_all(
        &self,
        actual: &ActualStatus,
        mut desired: watch::Receiver<Option<Arc<DesiredStatus>>>,
        events: Option<ServiceEvents>,
    ) {
        let mut state = WriterState {
            start: Instant::now(),
            owner: if self.pod.is_some() { Owner::Unknown } else { Owner::None },
            bucket: TokenBucket::new(self.limits.per_second, self.limits.burst),
            backoff: ObjectBackoff::new(),
            events,
            log: ErrorLog::new("status updates are delayed"),
        };
        let mut changes = actual.changes();
        loop {
            let current = desired.borrow_and_update().clone();
            changes.borrow_and_update();
            let is_done = match current {
                Some(current) => self.reconcile(&current, actual, &mut state).await,
                None => true,
            };
            tokio::select! {
                changed = desired.changed() => if changed.is_err() { return },
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(RETRY_INTERVAL), if !is_done => continue,
            }
            tokio::time::sleep(DEBOUNCE).await;
        }
    }

    /// Writes what the rate limits allow now; returns whether nothing is left to do.
    async fn reconcile(
        &self,
        desired: &DesiredStatus,
        actual: &ActualStatus,
        state: &mut WriterState,
    ) -> bool {
        if matches!(state.owner, Owner::Unknown) {
            state.owner = self.owner().await;
        }
        let owner = match &state.owner {
            // Objects without their owner would never be deleted.
            Owner::Unknown => return false,
            Owner::None => None,
            Owner::Pod(pod) => Some(pod.clone()),
        };
        let now = state.start.elapsed();
        state.backoff.forget_idle(now);
        let mut operations = {
            let kinds = actual.kinds();
            if let Some(events) = &mut state.events {
                events.update(desired, &kinds);
            }
            operations(desired, &kinds, owner.as_ref().map(|pod| pod.uid.as_str()))
        };
        let total = operations.len();
        operations.retain(|(key, _)| state.backoff.is_due(key, now));
        operations.truncate(state.bucket.take(operations.len(), now));
        let started = operations.len();
        let outcomes = self.execute(operations, actual, owner.as_ref(), &mut state.log).await;
        let is_failed = outcomes.iter().any(|(_, outcome)| *outcome != WriteOutcome::Written);
        for (key, outcome) in outcomes {
            let backoff = self.change_backoff(key.0);
            state.backoff.handle_write(key, backoff, outcome, state.start.elapsed());
        }
        started == total && !is_failed
    }

    /// Returns the backoff between successful writes of an object.
    fn change_backoff(&self, kind: StatusKind) -> Backoff {
        let WriteLimits { interval: first, max_interval: max, .. } = self.limits;
        match kind {
            StatusKind::Configuration => Backoff {
                first: first.min(CONFIGURATION_BACKOFF.first),
                max: max.min(CONFIGURATION_BACKOFF.max),
            },
            StatusKind::Session | StatusKind::ServiceL2 | StatusKind::ServiceBgp => Backoff { first, max },
        }
    }

    /// Executes operations; returns the outcome of each.
    async fn execute(
        &self,
        operations: Vec<((StatusKind, String), StatusOperation<'_>)>,
        actual: &ActualStatus,
        owner: Option<&OwnerReference>,
        log: &mut ErrorLog,
    ) -> Vec<((StatusKind, String), WriteOutcome)> {
        let mut writes = Vec::with_capacity(operations.len());
        for (key, operation) in operations {
            writes.push(self.write(key, operation, actual, owner).boxed());
        }
        let written: Vec<_> = stream::iter(writes).buffer_unordered(MAX_CONCURRENT).collect().await;
        // One log line for all: each is retried, and an unreachable server fails all of them.
        match written.iter().find_map(|(key, result)| Some((key, result.as_ref().err()?))) {
            Some(((kind, name), error)) => log.failed(&format!("write {} {name}", kind.name()), error),
            None => log.succeeded(),
        }
        written.into_iter().map(|(key, result)| (key, outcome(&result))).collect()
    }

    async fn write(
        &self,
        (kind, name): (StatusKind, String),
        operation: StatusOperation<'_>,
        actual: &ActualStatus,
        owner: Option<&OwnerReference>,
    ) -> ((StatusKind, String), kube::Result<()>) {
        let written = match operation {
            StatusOperation::Apply { desired, metadata } => {
                self.apply(kind, &name, desired, metadata, actual, owner).await
            }
            StatusOperation::Delete => self.delete(kind, &name, actual).await,
        };
        ((kind, name), written)
    }

    async fn apply(
        &self,
        kind: StatusKind,
        name: &str,
        desired: &DesiredObject,
        metadata: bool,
        actual: &ActualStatus,
        owner: Option<&OwnerReference>,
    ) -> kube::Result<()> {
        let api = self.write_api(kind);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        if metadata {
            let body = self.body(kind, desired, owner, self.metadata(kind, name, actual));
            let object = api.patch(name, &params, &Patch::Apply(body)).await?;
            actual.handle_written(kind, &object);
        }
        let before = match actual.kinds().get(&kind) {
            Some(Listing::Objects(objects)) => objects.get(name).map(|object| object.status.clone()),
            _ => None,
        };
        let now = Timestamp::now().strftime("%FT%TZ").to_string();
        let status = with_transition_times(desired.status.clone(), before.as_ref(), &now);
        let resource = kind.resource();
        let metadata = self.metadata(kind, name, actual);
        let body = json!({
            "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status,
        });
        match api.patch_status(name, &params, &Patch::Apply(body)).await {
            Ok(object) => actual.handle_written(kind, &object),
            // It was deleted, and the watch has not delivered that yet.
            Err(error) if is_not_found(&error) => {
                actual.handle_deleted(kind, name);
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn delete(&self, kind: StatusKind, name: &str, actual: &ActualStatus) -> kube::Result<()> {
        match self.write_api(kind).delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error),
        }
        actual.handle_deleted(kind, name);
        Ok(())
    }

    async fn owner(&self) -> Owner {
        let Some(name) = &self.pod else { return Owner::None };
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        match pods.get(name).await {
            Ok(pod) => pod.owner_ref(&()).map_or(Owner::None, Owner::Pod),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                tracing::warn!(
                    pod = name,
                    "cannot read this pod: {}; its status objects have no owner, and stay when it is deleted",
                    status.message
                );
                Owner::None
            }
            Err(_) => Owner::Unknown,
        }
    }

    /// Returns the object without its status.
    fn body(
        &self,
        kind: StatusKind,
        desired: &DesiredObject,
        owner: Option<&OwnerReference>,
        mut metadata: Value,
    ) -> Value {
        let resource = kind.resource();
        let (label, value) = kind.owner_label();
        metadata["labels"] = json!(desired.labels);
        metadata["labels"][label] = value.into();
        if let Some(owner) = owner {
            metadata["ownerReferences"] = json!([owner]);
        }
        json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata})
    }

    /// Returns the metadata of a write: the name, without which a server does not create the object; for a
    /// controller also the version to replace, because another may lead when the write arrives.
    fn metadata(&self, kind: StatusKind, name: &str, actual: &ActualStatus) -> Value {
        let mut metadata = json!({"name": name, "namespace": self.namespace});
        if self.scope == StatusScope::Controller
            && let Some(Listing::Objects(objects)) = actual.kinds().get(&kind)
            && let Some(object) = objects.get(name)
        {
            metadata["resourceVersion"] = object.version.to_string().into();
        }
        metadata
    }

    fn api(&self, kind: StatusKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    fn write_api(&self, kind: StatusKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.write_client.clone(), &self.namespace, &kind.resource())
    }
}

impl StatusScope {
    /// Returns the kinds to write, and the label selectors of our objects.
    fn selectors(&self) -> Vec<(StatusKind, String)> {
        let selector = |kind: StatusKind, label: &str, value: &str| {
            let (owner, ours) = kind.owner_label();
            (kind, format!("{label}={value},{owner}={ours}"))
        };
        match self {
            Self::Node(node) => {
                let node = name::label(node);
                StatusKind::ALL.map(|kind| selector(kind, kind.node_label(), &node)).into()
            }
            Self::Controller => {
                vec![selector(StatusKind::Configuration, "metallb.io/component-type", "controller")]
            }
        }
    }
}

fn outcome(result: &kube::Result<()>) -> WriteOutcome {
    match result {
        Ok(()) => WriteOutcome::Written,
        // Not found, a conflict, or too many requests: a retry may succeed.
        Err(kube::Error::Api(status)) if matches!(status.code, 400..500) => match status.code {
            404 | 409 | 410 | 429 => WriteOutcome::Failed,
            _ => WriteOutcome::Rejected,
        },
        Err(_) => WriteOutcome::Failed,
    }
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
