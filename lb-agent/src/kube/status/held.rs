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
use tokio::time::Instant;

use super::difference::{HeldObject, Listed};
use super::kind::Kind;
use crate::kube::cluster::is_undefined;

/// How long a watch lasts before it is begun anew: a connection that died without a word is noticed by then.
const WATCH_SECONDS: u32 = 290;
/// When it is asked again for a kind that the cluster does not define.
const ASK_AGAIN: Duration = Duration::from_secs(300);
/// A failure is told again when it has lasted this long.
const TELL_EVERY: Duration = Duration::from_secs(300);

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
        loop {
            self.follow_while_defined(kind, api.clone(), selector).await;
            self.set(kind, Listed::Undefined);
            tracing::warn!(
                kind = kind.name(),
                "the cluster does not define this kind, so it is not told; it is tried again now and then"
            );
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn follow_while_defined(&self, kind: Kind, api: Api<DynamicObject>, selector: &str) {
        let config = watcher::Config::default().labels(selector).timeout(WATCH_SECONDS);
        let mut events = watcher(api, config).default_backoff().boxed();
        let mut listing = BTreeMap::new();
        let mut told: Option<Instant> = None;
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    told = None;
                    self.handle(kind, event, &mut listing);
                }
                // The stream of a watcher has no end.
                Ok(None) => return,
                Err(error) if is_undefined(&error) => return,
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
                        tracing::warn!(kind = kind.name(), %error, "the cluster cannot be told; it will be later");
                        told = Some(Instant::now());
                    }
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
