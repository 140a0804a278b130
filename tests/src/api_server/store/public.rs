//! The tests' direct access to a store, bypassing the server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{ObjectKey, ObjectStore, StoreState};
use crate::api_server::access::Access;
use crate::api_server::conversion;
use crate::api_server::definition;
use crate::api_server::faults::ApiFaults;
use crate::api_server::kinds::storage_key;
use crate::api_server::kubelets::RunInPod;
use crate::api_server::objects::{now, uid};
use crate::api_server::users::Users;

/// Object versions start here, so that version 1 is long compacted.
const FIRST_VERSION: u64 = 100;

impl Default for ObjectStore {
    fn default() -> Self {
        let inner =
            StoreState { version: FIRST_VERSION, oldest_kept: FIRST_VERSION, ..StoreState::default() };
        let store = Self {
            inner: Mutex::new(inner),
            version: watch::Sender::new(FIRST_VERSION),
            failing: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            accesses: Mutex::default(),
            streams: AtomicBool::new(true),
            faults: ApiFaults::default(),
            users: Users::default(),
            kubelets: Mutex::default(),
            routes: Mutex::default(),
        };
        for object in definition::system_objects() {
            // All of them are of built-in kinds.
            let _: anyhow::Result<()> = store.put(&object);
        }
        store
    }
}

impl ObjectStore {
    /// Stores an object without validation, as if it had existed before the server. Creates its namespace,
    /// sets the defaults of a built-in kind, and includes its status, if any.
    ///
    /// # Errors
    /// When its kind is unknown: its definition must exist first.
    pub fn put(&self, object: &Value) -> anyhow::Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").context("an object without a name")?;
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
        let mut after = conversion::to_storage(&known, object.clone());
        if let (Some(before), None) = (&before, object.get("status"))
            && let Some(status) = before.get("status")
        {
            after["status"] = status.clone();
        }
        let strategy = known.stored().and_then(|version| version.strategy.as_ref());
        if let Some(strategy) = strategy.filter(|_| !known.traits.is_custom) {
            strategy.default(&mut after);
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
        self.notify(inner);
        Ok(())
    }

    /// Removes an object, and with a definition all objects of its kind; returns whether it existed.
    pub fn remove(&self, group: &str, plural: &str, namespace: &str, name: &str) -> bool {
        let mut inner = self.lock();
        let removed = inner.remove(&key(group, plural, namespace, name));
        if plural == "customresourcedefinitions"
            && let Some(kind) = inner.kinds.remove(name)
        {
            for key in inner.keys_of(&kind.group, &kind.plural) {
                inner.remove(&key);
            }
        }
        self.notify(inner);
        removed.is_some()
    }

    /// Returns an object.
    pub fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let inner = self.lock();
        let object = inner.objects.get(&key(group, plural, namespace, name))?;
        let kind = inner.kinds.of(group, plural)?;
        Some(conversion::to_version(kind, (**object).clone(), &kind.stored()?.name))
    }

    /// Returns all objects of a kind, sorted by namespace and name.
    pub fn all(&self, group: &str, plural: &str) -> Vec<Value> {
        let inner = self.lock();
        let Some((kind, stored)) =
            inner.kinds.of(group, plural).and_then(|kind| Some((kind, kind.stored()?)))
        else {
            return Vec::new();
        };
        let objects = inner.list(kind, None).into_iter();
        objects.map(|object| conversion::to_version(kind, (*object).clone(), &stored.name)).collect()
    }

    /// Runs commands in pods by a function from now on.
    pub fn run_in_pods(&self, run: Arc<RunInPod>) {
        self.kubelets.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(run);
    }

    /// Compacts the log: watches from earlier versions must list again.
    pub fn compact(&self) {
        self.lock().compact();
    }

    /// Fails every n-th write of clients from now on; zero: none.
    pub fn fail_every(&self, many: u64) {
        self.failing.store(many, Ordering::Relaxed);
    }

    /// Returns the permissions that clients' requests have needed.
    pub fn accesses(&self) -> BTreeSet<Access> {
        self.accesses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the fault injection of servers of this store.
    pub fn faults(&self) -> &ApiFaults {
        &self.faults
    }

    /// Routes the server's connections to a Service to an address, as a cluster's network would; with `None`,
    /// they are refused.
    pub fn set_route(&self, namespace: &str, service: &str, address: Option<SocketAddr>) {
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

    /// Enables authentication and RBAC: the administrator has this token, service accounts have theirs, and
    /// roles grant permissions. Without it, every client is the administrator.
    pub fn protect(&self, administrator: &str, takes_anonymous: bool) {
        self.users.protect(administrator, takes_anonymous);
    }

    /// Returns how many writes clients have requested.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Rejects streaming lists from now on, as a server before Kubernetes 1.32 does.
    pub fn refuse_streams(&self) {
        self.streams.store(false, Ordering::Relaxed);
    }
}

impl StoreState {
    /// Creates a namespace if it is missing.
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

fn key(group: &str, plural: &str, namespace: &str, name: &str) -> ObjectKey {
    let (group, plural) = storage_key(group, plural);
    (group.to_owned(), plural.to_owned(), namespace.to_owned(), name.to_owned())
}

/// Sets an object's server-set metadata.
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
