//! What the server holds of the objects that are written here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;

use super::diff::{HeldObject, Listed};
use super::kind::Kind;
use crate::client::error_log::Log;
use crate::client::stats;
use crate::cluster::{Patience, WATCH_SECONDS, is_undefined};

/// A kind that is not defined is asked for again after the first of these times; after the second where it was
/// defined before: a server that has just started does not know all kinds yet.
const ASK_AGAIN: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(2)];

/// What the server holds, as far as is known.
#[derive(Debug)]
pub(super) struct Held {
    kinds: Mutex<BTreeMap<Kind, Listed>>,
    changes: watch::Sender<u64>,
}

impl Held {
    /// Nothing is known yet of these kinds.
    pub(super) fn new(kinds: impl Iterator<Item = Kind>) -> Self {
        let kinds = Mutex::new(kinds.map(|kind| (kind, Listed::Awaited)).collect());
        Self { kinds, changes: watch::Sender::new(0) }
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A panic of another task while it held the lock leaves what it had seen, which is what counts.
    pub(super) fn kinds(&self) -> MutexGuard<'_, BTreeMap<Kind, Listed>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object as a write has left it. A watch may have told of a later version before.
    pub(super) fn handle_written(&self, kind: Kind, object: &DynamicObject) {
        if let Some(Listed::Objects(objects)) = self.kinds().get_mut(&kind) {
            insert(objects, object);
        }
    }

    /// An object is not there any more.
    pub(super) fn handle_gone(&self, kind: Kind, name: &str) {
        if let Some(Listed::Objects(objects)) = self.kinds().get_mut(&kind) {
            objects.remove(name);
        }
    }

    /// Watches a kind until the task is ended.
    pub(super) async fn follow(&self, kind: Kind, api: Api<DynamicObject>, selector: &str) {
        let mut was_defined = false;
        loop {
            was_defined |= self.follow_while_defined(kind, api.clone(), selector).await;
            if !was_defined {
                self.set(kind, Listed::Undefined);
                tracing::warn!("the cluster does not define {}: none is written, retrying", kind.name());
            }
            tokio::time::sleep(ASK_AGAIN[usize::from(was_defined)]).await;
        }
    }

    /// Watches a kind until the server does not know it; true where it knew it before.
    async fn follow_while_defined(&self, kind: Kind, api: Api<DynamicObject>, selector: &str) -> bool {
        let config = watcher::Config::default().labels(selector).timeout(WATCH_SECONDS);
        let mut events = watcher(api, config).backoff(Patience::default()).boxed();
        let mut listing = BTreeMap::new();
        let mut log = Log::new("it is written later");
        let mut is_defined = false;
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    // A list that begins has not been answered yet.
                    if !matches!(event, Event::Init) {
                        log.succeeded();
                        is_defined = true;
                        stats().watch_succeeded(kind.name());
                    }
                    self.handle(kind, event, &mut listing);
                }
                // The stream of a watcher has no end.
                Ok(None) => return is_defined,
                Err(error) if is_undefined(&error) => return is_defined,
                Err(error) => {
                    stats().watch_failed(kind.name());
                    log.watch_failed(kind.name(), &error);
                }
            }
        }
    }

    fn handle(&self, kind: Kind, event: Event<DynamicObject>, listing: &mut BTreeMap<String, HeldObject>) {
        match event {
            Event::Init => listing.clear(),
            Event::InitApply(object) => insert(listing, &object),
            Event::InitDone => self.set(kind, Listed::Objects(std::mem::take(listing))),
            Event::Apply(object) => {
                self.handle_written(kind, &object);
                self.tell();
            }
            Event::Delete(object) => {
                self.handle_gone(kind, &object.name_any());
                self.tell();
            }
        }
    }

    fn set(&self, kind: Kind, listed: Listed) {
        self.kinds().insert(kind, listed);
        self.tell();
    }

    fn tell(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}

fn insert(objects: &mut BTreeMap<String, HeldObject>, object: &DynamicObject) {
    let metadata = &object.metadata;
    let version = metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
    let version = version.unwrap_or_default();
    let name = object.name_any();
    if objects.get(&name).is_some_and(|held| held.version > version) {
        return;
    }
    let owners = metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone());
    let held = HeldObject {
        version,
        labels: metadata.labels.clone().unwrap_or_default(),
        owners: owners.collect(),
        status: object.data.get("status").cloned().unwrap_or_default(),
    };
    objects.insert(name, held);
}
