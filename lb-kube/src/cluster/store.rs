//! The store of watched objects, by kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::api::ApiResource;
use kube::runtime::watcher::Event;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use tokio::sync::watch;

use crate::raw_object::RawObject;
use crate::snapshot;

/// The objects of all kinds.
#[derive(Debug)]
pub(super) struct Store {
    kinds: Mutex<BTreeMap<&'static str, KindStore>>,
    changes: watch::Sender<u64>,
}

/// The objects of one kind.
#[derive(Debug, Default)]
pub(super) struct KindStore {
    pub(super) entries: BTreeMap<Key, Entry>,
    /// The part of a list received so far; replaces the entries when the list is complete.
    listing: BTreeMap<Key, Entry>,
    /// Whether a list has been completed.
    pub(super) synced: bool,
}

/// Namespace and name.
pub(super) type Key = (String, String);

/// An object, and its problems.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    /// The last valid version.
    pub(super) object: Option<Arc<Sourced<Object>>>,
    pub(super) problems: Vec<Problem>,
}

impl Store {
    /// Creates an empty store for these kinds.
    pub(super) fn new(kinds: impl Iterator<Item = &'static str>) -> Self {
        let kinds = kinds.map(|kind| (kind, KindStore::default())).collect();
        Self { kinds: Mutex::new(kinds), changes: watch::Sender::new(0) }
    }

    /// A task that panicked while it held the lock leaves complete entries behind.
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, KindStore>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a receiver that is notified of every change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Notifies of a change.
    pub(super) fn notify(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// Updates one kind, and notifies of a change if `update` returns true.
    pub(super) fn update(&self, kind: &'static str, update: impl FnOnce(&mut KindStore) -> bool) -> bool {
        let is_changed = update(self.lock().entry(kind).or_default());
        if is_changed {
            self.notify();
        }
        is_changed
    }
}

impl KindStore {
    /// Handles that the kind is not defined, which counts as having no objects. Known objects stay: a
    /// definition that is deleted for a moment must not delete everything. Returns true the first time.
    pub(super) fn handle_undefined(&mut self) -> bool {
        !std::mem::replace(&mut self.synced, true)
    }

    /// Handles an event of the watch; returns whether an entry changed.
    pub(super) fn handle_event(&mut self, event: Event<RawObject>, resource: &ApiResource) -> bool {
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(object) => {
                let key = object.key();
                let entry = self.entry(&key, &object, resource);
                self.listing.insert(key, entry);
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                let is_changed = !self.synced || self.entries != listed;
                self.entries = listed;
                self.synced = true;
                is_changed
            }
            Event::Apply(object) => self.apply(&object, resource),
            Event::Delete(object) => self.entries.remove(&object.key()).is_some(),
        }
    }

    /// Stores an object; returns whether its entry changed.
    pub(super) fn apply(&mut self, object: &RawObject, resource: &ApiResource) -> bool {
        let key = object.key();
        let entry = self.entry(&key, object, resource);
        let is_changed = self.entries.get(&key) != Some(&entry);
        self.entries.insert(key, entry);
        is_changed
    }

    /// Returns the entry of an object. An object that has not changed stays the same `Arc`.
    fn entry(&self, key: &Key, object: &RawObject, resource: &ApiResource) -> Entry {
        let (parsed, mut problems) = object.parse(resource);
        let before = self.entries.get(key).and_then(|entry| entry.object.clone());
        let object = match (parsed, before) {
            (Some(parsed), Some(before)) if *before == parsed => Some(before),
            (Some(parsed), _) => Some(Arc::new(parsed)),
            (None, before) => {
                problems.extend(before.as_deref().and_then(snapshot::stale_problem));
                before
            }
        };
        Entry { object, problems }
    }
}
