//! Objects, and what happened to them.

mod public;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::access::Access;
use super::faults::Faults;
use super::kinds::{Kind, Kinds};
use super::request::Target;
use super::users::Users;

/// Group, plural, namespace and name of an object.
pub(super) type Key = (String, String, String, String);

/// What happened to an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    /// As it was, where it was there.
    pub(super) before: Option<Arc<Value>>,
    /// As it is, or as it was when it was taken away.
    pub(super) object: Arc<Value>,
    pub(super) is_removal: bool,
}

/// Objects, and what happened to them since the log was last cut.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    version: watch::Sender<u64>,
    /// Every so many-th write fails; zero: none.
    failing: AtomicU64,
    /// Writes that were asked for.
    writes: AtomicU64,
    /// What requests would have had to be allowed.
    accesses: Mutex<BTreeSet<Access>>,
    /// Whether lists can be had as a stream.
    streams: AtomicBool,
    faults: Faults,
    users: Users,
    /// Namespace and name of a Service → where connections to it end.
    routes: Mutex<BTreeMap<(String, String), SocketAddr>>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) version: u64,
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    pub(super) kinds: Kinds,
    /// Which object has a uid.
    pub(super) uids: BTreeMap<String, Key>,
    /// What the background has to look at.
    pub(super) touched: BTreeSet<Key>,
    log: Vec<Change>,
    /// The version from which on watches can be told what has happened.
    forgotten: u64,
    /// The version up to which the log has been forgotten.
    compacted: u64,
}

/// The log does not go back so far.
pub(super) struct Forgotten {
    pub(super) oldest: u64,
}

impl Store {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets everybody know what was done under the lock.
    pub(super) fn tell(&self, inner: MutexGuard<'_, Inner>) {
        let version = inner.version;
        drop(inner);
        self.version.send_if_modified(|told| std::mem::replace(told, version) != version);
    }

    /// Wakes at every change.
    pub(super) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(super) fn users(&self) -> &Users {
        &self.users
    }

    pub(super) fn note(&self, accesses: impl Iterator<Item = Access>) {
        self.accesses.lock().unwrap_or_else(PoisonError::into_inner).extend(accesses);
    }

    /// Counts a write; true if it is to fail.
    pub(super) fn fails_now(&self) -> bool {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let many = self.failing.load(Ordering::Relaxed);
        many != 0 && number.is_multiple_of(many)
    }

    /// Whether lists can be had as a stream.
    pub(super) fn streams(&self) -> bool {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) fn kind(&self, group: &str, plural: &str) -> Option<Arc<Kind>> {
        self.lock().kinds.of(group, plural).cloned()
    }

    pub(super) fn object(&self, key: &Key) -> Option<Arc<Value>> {
        self.lock().objects.get(key).cloned()
    }
}

impl Inner {
    /// All of a kind, which stand together.
    pub(super) fn of_kind(&self, group: &str, plural: &str) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let first: Key = (group.to_owned(), plural.to_owned(), String::new(), String::new());
        let (group, plural) = (group.to_owned(), plural.to_owned());
        self.objects.range(first..).take_while(move |(key, _)| key.0 == group && key.1 == plural)
    }

    pub(super) fn keys_of(&self, group: &str, plural: &str) -> Vec<Key> {
        self.of_kind(group, plural).map(|(key, _)| key.clone()).collect()
    }

    /// All of a kind in a namespace, or in all of them.
    pub(super) fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let (group, plural) = kind.key();
        let found = self.of_kind(group, plural).filter(|(key, _)| is_of(key, kind, namespace));
        found.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// The same, as it was at a version.
    pub(super) fn list_at(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Value>>, Forgotten> {
        let mut objects: BTreeMap<&Key, Arc<Value>> = BTreeMap::new();
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

    /// What has happened since a version.
    pub(super) fn since(&self, version: u64) -> Result<&[Change], Forgotten> {
        if version < self.forgotten {
            return Err(Forgotten { oldest: self.forgotten });
        }
        self.logged(version)
    }

    fn logged(&self, version: u64) -> Result<&[Change], Forgotten> {
        if version < self.compacted {
            return Err(Forgotten { oldest: self.compacted });
        }
        Ok(&self.log[self.log.partition_point(|change| change.version <= version)..])
    }

    /// Stores what an object has become, with the version that this is.
    pub(super) fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
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

    /// Takes an object away: what watches are told, with the version of this.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
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

    /// Takes an object away with its last change, which watches are not told of.
    pub(super) fn vanish(&mut self, key: &Key, mut last: Value) -> Arc<Value> {
        self.remove(key);
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        Arc::new(last)
    }

    fn changed(&mut self, key: &Key, before: Option<Arc<Value>>, object: Arc<Value>, is_removal: bool) {
        self.touched.insert(key.clone());
        self.log.push(Change { version: self.version, key: key.clone(), before, object, is_removal });
    }

    pub(super) fn forget(&mut self) {
        (self.forgotten, self.compacted) = (self.version, self.version);
        self.log.clear();
    }
}

pub(super) fn key(kind: &Kind, namespace: Option<&str>, name: &str) -> Key {
    let (group, plural) = kind.key();
    (group.to_owned(), plural.to_owned(), namespace.unwrap_or_default().to_owned(), name.to_owned())
}

/// The key of what a request names.
pub(super) fn key_of(kind: &Kind, target: &Target) -> Key {
    key(kind, target.namespace.as_deref(), target.name.as_deref().unwrap_or_default())
}

pub(super) fn is_of((group, plural, within, _): &Key, kind: &Kind, namespace: Option<&str>) -> bool {
    (group.as_str(), plural.as_str()) == kind.key() && namespace.is_none_or(|wanted| wanted == within)
}
