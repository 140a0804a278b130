//! The actual state: the status objects on the server, kept up to date by watches.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;

use super::diff::{ActualObject, Listing};
use super::kind::StatusKind;
use crate::client::error_log::ErrorLog;
use crate::client::stats;
use crate::watch::{TIMEOUT_SECONDS, WatchBackoff, is_undefined};

/// Delay before a kind that is not defined is watched again: first if it has never been defined, then if it
/// has. A server that has just started does not know all kinds yet.
const UNDEFINED_RETRY: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(2)];

/// The status objects on the server, by kind.
#[derive(Debug)]
pub(super) struct ActualStatus {
    kinds: Mutex<BTreeMap<StatusKind, Listing>>,
    changes: watch::Sender<u64>,
}

impl ActualStatus {
    /// Creates the state of these kinds, which have not been listed yet.
    pub(super) fn new(kinds: impl Iterator<Item = StatusKind>) -> Self {
        let kinds = Mutex::new(kinds.map(|kind| (kind, Listing::Pending)).collect());
        Self { kinds, changes: watch::Sender::new(0) }
    }

    /// Returns a receiver that is notified of every change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Locks the state. A task that panicked while it held the lock leaves complete objects behind.
    pub(super) fn kinds(&self) -> MutexGuard<'_, BTreeMap<StatusKind, Listing>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles the result of a write. A watch may have delivered a later version already.
    pub(super) fn handle_written(&self, kind: StatusKind, object: &DynamicObject) {
        if let Some(Listing::Objects(objects)) = self.kinds().get_mut(&kind) {
            insert(objects, object);
        }
    }

    /// Handles that an object has been deleted.
    pub(super) fn handle_deleted(&self, kind: StatusKind, name: &str) {
        if let Some(Listing::Objects(objects)) = self.kinds().get_mut(&kind) {
            objects.remove(name);
        }
    }

    /// Watches a kind until the task is aborted.
    pub(super) async fn watch(&self, kind: StatusKind, api: Api<DynamicObject>, selector: &str) {
        let mut was_defined = false;
        loop {
            was_defined |= self.watch_while_defined(kind, api.clone(), selector).await;
            if !was_defined {
                self.set(kind, Listing::Undefined);
                tracing::warn!(
                    "the cluster does not define {}; its objects are not written; checking again",
                    kind.name()
                );
            }
            tokio::time::sleep(UNDEFINED_RETRY[usize::from(was_defined)]).await;
        }
    }

    /// Watches a kind until it is not defined; returns whether it was defined before.
    async fn watch_while_defined(&self, kind: StatusKind, api: Api<DynamicObject>, selector: &str) -> bool {
        let config = watcher::Config::default().labels(selector).timeout(TIMEOUT_SECONDS);
        let mut events = watcher(api, config).backoff(WatchBackoff::default()).boxed();
        let mut listing = BTreeMap::new();
        let mut log = ErrorLog::new("status updates are delayed");
        let mut is_defined = false;
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    // `Init` precedes the server's answer.
                    if !matches!(event, Event::Init) {
                        log.succeeded();
                        is_defined = true;
                        stats().watch_succeeded(kind.name());
                    }
                    self.handle(kind, event, &mut listing);
                }
                // A watcher's stream does not end.
                Ok(None) => return is_defined,
                Err(error) if is_undefined(&error) => return is_defined,
                Err(error) => {
                    stats().watch_failed(kind.name(), &kind.resource().plural);
                    log.watch_failed(kind.name(), &error);
                }
            }
        }
    }

    fn handle(
        &self,
        kind: StatusKind,
        event: Event<DynamicObject>,
        listing: &mut BTreeMap<String, ActualObject>,
    ) {
        match event {
            Event::Init => listing.clear(),
            Event::InitApply(object) => insert(listing, &object),
            Event::InitDone => self.set(kind, Listing::Objects(std::mem::take(listing))),
            Event::Apply(object) => {
                self.handle_written(kind, &object);
                self.notify();
            }
            Event::Delete(object) => {
                self.handle_deleted(kind, &object.name_any());
                self.notify();
            }
        }
    }

    fn set(&self, kind: StatusKind, listed: Listing) {
        self.kinds().insert(kind, listed);
        self.notify();
    }

    fn notify(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}

fn insert(objects: &mut BTreeMap<String, ActualObject>, object: &DynamicObject) {
    let metadata = &object.metadata;
    let version = metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
    let version = version.unwrap_or_default();
    let name = object.name_any();
    if objects.get(&name).is_some_and(|actual| actual.version > version) {
        return;
    }
    let owners = metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone());
    let actual = ActualObject {
        version,
        labels: metadata.labels.clone().unwrap_or_default(),
        owners: owners.collect(),
        status: object.data.get("status").cloned().unwrap_or_default(),
    };
    objects.insert(name, actual);
}
