//! What tests do to a store, behind the back of the server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Inner, Key, Store};
use crate::api_server::access::Access;
use crate::api_server::definition;
use crate::api_server::faults::Faults;
use crate::api_server::kinds::storage_key;
use crate::api_server::objects::{now, uid};
use crate::api_server::shape;
use crate::api_server::users::Users;

/// No version of an object is below this: one is a version that is long gone.
const FIRST_VERSION: u64 = 100;

impl Default for Store {
    fn default() -> Self {
        let inner = Inner { version: FIRST_VERSION, forgotten: FIRST_VERSION, ..Inner::default() };
        let store = Self {
            inner: Mutex::new(inner),
            version: watch::Sender::new(FIRST_VERSION),
            failing: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            accesses: Mutex::default(),
            streams: AtomicBool::new(true),
            faults: Faults::default(),
            users: Users::default(),
            routes: Mutex::default(),
        };
        for object in definition::system_objects() {
            // All of them are of kinds that are always there.
            let _: anyhow::Result<()> = store.put(&object);
        }
        store
    }
}

impl Store {
    /// Puts an object, as if it had been there before the server: nothing is checked. It is there afterwards with its
    /// namespace, with what is filled in if it is of a kind that is always there, and with its status, if it brings
    /// one.
    ///
    /// # Errors
    /// When it is of a kind that is not known: its definition must be there first.
    pub fn put(&self, object: &Value) -> anyhow::Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").context("an object has a name")?;
        let api_version = text("/apiVersion").unwrap_or_default();
        let kind = text("/kind").unwrap_or_default();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let mut inner = self.lock();
        let known = inner.kinds.named(group, kind).cloned();
        let known = known.with_context(|| format!("there is no kind {api_version} {kind}"))?;
        let namespace = known.namespaced.then(|| text("/metadata/namespace").unwrap_or("default"));
        let key = super::key(&known, namespace, name);
        inner.provide(namespace);
        let before = inner.objects.get(&key).cloned();
        let mut after = shape::to_storage(&known, object.clone());
        if let (Some(before), None) = (&before, object.get("status"))
            && let Some(status) = before.get("status")
        {
            after["status"] = status.clone();
        }
        let form = known.stored().and_then(|version| version.form.as_ref());
        if let Some(form) = form.filter(|_| !known.habits.is_custom) {
            form.default(&mut after);
        }
        complete(&mut after, before.as_deref(), namespace);
        if before.as_deref() == Some(&after) {
            return Ok(());
        }
        if key.1 == "customresourcedefinitions" {
            definition::establish(&mut after);
            inner.kinds.define(&after);
        }
        inner.put(&key, after);
        self.tell(inner);
        Ok(())
    }

    /// Takes an object away, and with a definition all objects of its kind; true if it was there.
    pub fn remove(&self, group: &str, plural: &str, namespace: &str, name: &str) -> bool {
        let mut inner = self.lock();
        let removed = inner.remove(&key(group, plural, namespace, name));
        if plural == "customresourcedefinitions"
            && let Some(kind) = inner.kinds.forget(name)
        {
            for key in inner.keys_of(&kind.group, &kind.plural) {
                inner.remove(&key);
            }
        }
        self.tell(inner);
        removed.is_some()
    }

    /// An object as it is now.
    pub fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let inner = self.lock();
        let object = inner.objects.get(&key(group, plural, namespace, name))?;
        let kind = inner.kinds.of(group, plural)?;
        Some(shape::to_version(kind, (**object).clone(), &kind.stored()?.name))
    }

    /// All objects of a kind, by namespace and name.
    pub fn all(&self, group: &str, plural: &str) -> Vec<Value> {
        let inner = self.lock();
        let Some((kind, stored)) =
            inner.kinds.of(group, plural).and_then(|kind| Some((kind, kind.stored()?)))
        else {
            return Vec::new();
        };
        let objects = inner.list(kind, None).into_iter();
        objects.map(|object| shape::to_version(kind, (*object).clone(), &stored.name)).collect()
    }

    /// Forgets what has happened so far: who watches from before must list again.
    pub fn forget_log(&self) {
        self.lock().forget();
    }

    /// Lets every so many-th write of a client fail from now on; zero: none.
    pub fn fail_every(&self, many: u64) {
        self.failing.store(many, Ordering::Relaxed);
    }

    /// What clients would have had to be allowed for all that they have asked for.
    pub fn accesses(&self) -> BTreeSet<Access> {
        self.accesses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What can be made wrong with servers of this store.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Has connections of the server to a Service end at an address, as a cluster's network would; `None`: nowhere, and
    /// they are refused.
    pub fn lead(&self, namespace: &str, service: &str, address: Option<SocketAddr>) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), service.to_owned());
        match address {
            Some(address) => routes.insert(key, address),
            None => routes.remove(&key),
        };
    }

    pub(in crate::api_server) fn route(&self, namespace: &str, service: &str) -> Option<SocketAddr> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.get(&(namespace.to_owned(), service.to_owned())).copied()
    }

    /// Asks who clients are, and what they may do, from now on: an administrator is who has this token, service
    /// accounts have theirs, and roles say what they may. Until then everybody is the administrator.
    pub fn protect(&self, administrator: &str, takes_anonymous: bool) {
        self.users.protect(administrator, takes_anonymous);
    }

    /// How many writes clients have asked for.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Is from now on as a server before Kubernetes 1.32, which refuses to stream a list.
    pub fn refuse_streams(&self) {
        self.streams.store(false, Ordering::Relaxed);
    }
}

impl Inner {
    /// Makes a namespace that is not there.
    fn provide(&mut self, namespace: Option<&str>) {
        let Some(name) = namespace else { return };
        let key = key("", "namespaces", "", name);
        if !self.objects.contains_key(&key) {
            let mut namespace = definition::namespace(name);
            complete(&mut namespace, None, None);
            self.put(&key, namespace);
        }
    }
}

fn key(group: &str, plural: &str, namespace: &str, name: &str) -> Key {
    let (group, plural) = storage_key(group, plural);
    (group.to_owned(), plural.to_owned(), namespace.to_owned(), name.to_owned())
}

/// Gives an object what a server gives it.
fn complete(after: &mut Value, before: Option<&Value>, namespace: Option<&str>) {
    let metadata = before.map_or(&Value::Null, |before| &before["metadata"]);
    let kept = |field: &str, new: Value| metadata.get(field).cloned().unwrap_or(new);
    if let Some(namespace) = namespace {
        after["metadata"]["namespace"] = json!(namespace);
    }
    after["metadata"]["uid"] = kept("uid", json!(uid()));
    after["metadata"]["creationTimestamp"] = kept("creationTimestamp", json!(now()));
    let has_changed = before.is_none_or(|before| before.get("spec") != after.get("spec"));
    let generation = metadata.get("generation").and_then(Value::as_u64).unwrap_or_default();
    after["metadata"]["generation"] = json!(generation + u64::from(has_changed));
    if let Some(version) = metadata.get("resourceVersion") {
        after["metadata"]["resourceVersion"] = version.clone();
    }
}
