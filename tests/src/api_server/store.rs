//! The object store, with a log of changes.

mod public;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::access::Access;
use super::faults::ApiFaults;
use super::kinds::{ApiKind, KindRegistry};
use super::kubelets::Kubelets;
use super::request::RequestTarget;
use super::users::Users;

/// Group, plural, namespace and name of an object.
pub(super) type ObjectKey = (String, String, String, String);

/// A change of an object.
#[derive(Clone, Debug)]
pub(super) struct StoreChange {
    pub(super) version: u64,
    pub(super) key: ObjectKey,
    /// The object before, if it existed.
    pub(super) before: Option<Arc<Value>>,
    /// The object afterwards, or at its removal.
    pub(super) object: Arc<Value>,
    pub(super) is_removal: bool,
}

/// Objects, and their changes since the last compaction.
#[derive(Debug)]
pub struct ObjectStore {
    inner: Mutex<StoreState>,
    version: watch::Sender<u64>,
    /// Every n-th write fails; zero: none.
    failing: AtomicU64,
    /// Number of write requests.
    writes: AtomicU64,
    /// Permissions that requests needed.
    accesses: Mutex<BTreeSet<Access>>,
    /// Whether streaming lists are supported.
    streams: AtomicBool,
    faults: ApiFaults,
    users: Users,
    kubelets: Mutex<Kubelets>,
    /// Namespace and name of a Service → backend address.
    routes: Mutex<BTreeMap<(String, String), SocketAddr>>,
}

#[derive(Debug, Default)]
pub(super) struct StoreState {
    pub(super) version: u64,
    pub(super) objects: BTreeMap<ObjectKey, Arc<Value>>,
    pub(super) kinds: KindRegistry,
    /// Objects by UID.
    pub(super) uids: BTreeMap<String, ObjectKey>,
    /// Objects for the background controllers to process.
    pub(super) touched: BTreeSet<ObjectKey>,
    log: Vec<StoreChange>,
    /// The oldest version from which a watch can start.
    oldest_kept: u64,
    /// The version up to which the log has been compacted.
    compacted: u64,
}

/// The requested version has been compacted.
pub(super) struct Compacted {
    pub(super) oldest: u64,
}

impl ObjectStore {
    pub(super) fn lock(&self) -> MutexGuard<'_, StoreState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies watchers of the changes made under the lock.
    pub(super) fn notify(&self, inner: MutexGuard<'_, StoreState>) {
        let version = inner.version;
        drop(inner);
        self.version.send_if_modified(|notified| std::mem::replace(notified, version) != version);
    }

    /// Returns a receiver that wakes at every change.
    pub(super) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(super) fn kubelets(&self) -> Kubelets {
        self.kubelets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn users(&self) -> &Users {
        &self.users
    }

    pub(super) fn note(&self, accesses: impl Iterator<Item = Access>) {
        self.accesses.lock().unwrap_or_else(PoisonError::into_inner).extend(accesses);
    }

    /// Counts a write; returns true if it is to fail.
    pub(super) fn fails_now(&self) -> bool {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let many = self.failing.load(Ordering::Relaxed);
        many != 0 && number.is_multiple_of(many)
    }

    /// Returns whether streaming lists are supported.
    pub(super) fn streams(&self) -> bool {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) fn kind(&self, group: &str, plural: &str) -> Option<Arc<ApiKind>> {
        self.lock().kinds.of(group, plural).cloned()
    }

    pub(super) fn object(&self, key: &ObjectKey) -> Option<Arc<Value>> {
        self.lock().objects.get(key).cloned()
    }
}

impl StoreState {
    /// Iterates over all objects of a kind, which are adjacent.
    pub(super) fn of_kind(
        &self,
        group: &str,
        plural: &str,
    ) -> impl Iterator<Item = (&ObjectKey, &Arc<Value>)> {
        let first: ObjectKey = (group.to_owned(), plural.to_owned(), String::new(), String::new());
        let (group, plural) = (group.to_owned(), plural.to_owned());
        self.objects.range(first..).take_while(move |(key, _)| key.0 == group && key.1 == plural)
    }

    pub(super) fn keys_of(&self, group: &str, plural: &str) -> Vec<ObjectKey> {
        self.of_kind(group, plural).map(|(key, _)| key.clone()).collect()
    }

    /// Lists a kind in a namespace, or in all namespaces.
    pub(super) fn list(&self, kind: &ApiKind, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let (group, plural) = kind.key();
        let found = self.of_kind(group, plural).filter(|(key, _)| is_of(key, kind, namespace));
        found.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// Lists a kind as of a version.
    pub(super) fn list_at(
        &self,
        kind: &ApiKind,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Value>>, Compacted> {
        let mut objects: BTreeMap<&ObjectKey, Arc<Value>> = BTreeMap::new();
        let (group, plural) = kind.key();
        let found = self.of_kind(group, plural).filter(|(key, _)| is_of(key, kind, namespace));
        objects.extend(found.map(|(key, object)| (key, Arc::clone(object))));
        for change in self.logged(version)?.iter().rev().filter(|change| is_of(&change.key, kind, namespace))
        {
            match &change.before {
                Some(before) => objects.insert(&change.key, Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects.into_values().collect())
    }

    /// Returns the changes since a version.
    pub(super) fn since(&self, version: u64) -> Result<&[StoreChange], Compacted> {
        if version < self.oldest_kept {
            return Err(Compacted { oldest: self.oldest_kept });
        }
        self.logged(version)
    }

    fn logged(&self, version: u64) -> Result<&[StoreChange], Compacted> {
        if version < self.compacted {
            return Err(Compacted { oldest: self.compacted });
        }
        Ok(&self.log[self.log.partition_point(|change| change.version <= version)..])
    }

    /// Stores an object with a new version.
    pub(super) fn put(&mut self, key: &ObjectKey, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        if let Some(uid) = object.pointer("/metadata/uid").and_then(Value::as_str) {
            self.uids.insert(uid.to_owned(), key.clone());
        }
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        self.changed(key, before, Arc::clone(&object), false);
        object
    }

    /// Removes an object; returns it with the version of its removal, as watches send it.
    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        let mut object = (*before).clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        if let Some(uid) = object.pointer("/metadata/uid").and_then(Value::as_str) {
            self.uids.remove(uid);
        }
        self.changed(key, Some(before), Arc::clone(&object), true);
        Some(object)
    }

    /// Removes an object together with its last change, which watches do not send.
    pub(super) fn remove_with_last(&mut self, key: &ObjectKey, mut last: Value) -> Arc<Value> {
        self.remove(key);
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        Arc::new(last)
    }

    fn changed(&mut self, key: &ObjectKey, before: Option<Arc<Value>>, object: Arc<Value>, is_removal: bool) {
        self.touched.insert(key.clone());
        self.log.push(StoreChange { version: self.version, key: key.clone(), before, object, is_removal });
    }

    pub(super) fn compact(&mut self) {
        (self.oldest_kept, self.compacted) = (self.version, self.version);
        self.log.clear();
    }
}

pub(super) fn key(kind: &ApiKind, namespace: Option<&str>, name: &str) -> ObjectKey {
    let (group, plural) = kind.key();
    (group.to_owned(), plural.to_owned(), namespace.unwrap_or_default().to_owned(), name.to_owned())
}

/// Returns the key of a request's target.
pub(super) fn key_of(kind: &ApiKind, target: &RequestTarget) -> ObjectKey {
    key(kind, target.namespace.as_deref(), target.name.as_deref().unwrap_or_default())
}

pub(super) fn is_of((group, plural, within, _): &ObjectKey, kind: &ApiKind, namespace: Option<&str>) -> bool {
    (group.as_str(), plural.as_str()) == kind.key() && namespace.is_none_or(|expected| expected == within)
}
