//! Objects, and what happened to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::access::Access;
use super::error::Failure;
use super::faults::Faults;
use super::kinds::{Kind, built_in, defined_by};
use super::request::Target;

/// Group, plural, namespace and name of an object.
type Key = (String, String, String, String);

/// What happened to an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(super) what: &'static str,
    key: Key,
    /// As it was, where it was there and still is.
    pub(super) before: Option<Value>,
    pub(super) object: Value,
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
}

#[derive(Debug, Default)]
struct Inner {
    version: u64,
    objects: BTreeMap<Key, Value>,
    /// What each manager applied last, by subresource.
    applied: BTreeMap<(Key, String), Value>,
    log: Vec<Change>,
    /// The version up to which the log has been forgotten.
    forgotten: u64,
}

/// How a write changes an object.
pub(super) enum Write<'a> {
    Replace(Value),
    Merge(Value),
    Json(json_patch::Patch),
    Apply { manager: &'a str, fields: Value },
}

impl Default for Store {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            version: watch::Sender::new(0),
            failing: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            accesses: Mutex::default(),
            streams: AtomicBool::new(true),
            faults: Faults::default(),
        }
    }
}

impl Store {
    /// Puts an object, as `kubectl apply` would: it is there afterwards, with its status, if it brings one.
    ///
    /// # Errors
    /// When it is of a kind that is not known: its definition must be there first.
    pub fn put(&self, object: &Value) -> anyhow::Result<()> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let mut inner = self.lock();
        let known = inner.kind_named(group, kind);
        let known = known.with_context(|| format!("there is no kind {api_version} {kind}"))?;
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let target = Target {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: known.plural.clone(),
            namespace: known
                .namespaced
                .then(|| text("/metadata/namespace").unwrap_or_else(|| "default".into())),
            name: text("/metadata/name"),
            subresource: None,
        };
        let key = key(&target, &target.name.clone().unwrap_or_default());
        let before = inner.objects.get(&key).cloned();
        let mut after = object.clone();
        if let (Some(before), None) = (&before, object.get("status")) {
            after["status"] = before["status"].clone();
        }
        inner.commit(&known, &target, key, before, after);
        self.tell(inner);
        Ok(())
    }

    /// Takes an object away; true if it was there.
    pub fn remove(&self, group: &str, plural: &str, namespace: &str, name: &str) -> bool {
        let mut inner = self.lock();
        let removed = inner.delete((group.into(), plural.into(), namespace.into(), name.into()));
        self.tell(inner);
        removed.is_some()
    }

    /// An object as it is now.
    pub fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.lock().objects.get(&(group.into(), plural.into(), namespace.into(), name.into())).cloned()
    }

    /// All objects of a kind, by namespace and name.
    pub fn all(&self, group: &str, plural: &str) -> Vec<Value> {
        let inner = self.lock();
        let of_kind =
            inner.objects.iter().filter(|((g, p, ..), _)| (g.as_str(), p.as_str()) == (group, plural));
        of_kind.map(|(_, object)| object.clone()).collect()
    }

    /// Forgets what has happened so far: who watches from before must list again.
    pub fn forget_log(&self) {
        let mut inner = self.lock();
        inner.forgotten = inner.version;
        inner.log.clear();
    }

    /// Lets every so many-th write of a client fail from now on; zero: none.
    pub fn fail_every(&self, many: u64) {
        self.failing.store(many, Ordering::Relaxed);
    }

    /// What clients would have had to be allowed for all that they have asked for.
    pub fn accesses(&self) -> BTreeSet<Access> {
        self.accesses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, accesses: impl Iterator<Item = Access>) {
        self.accesses.lock().unwrap_or_else(PoisonError::into_inner).extend(accesses);
    }

    /// What can be made wrong with servers of this store.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How many writes clients have asked for.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Counts a write; true if it is to fail.
    pub(super) fn fails_now(&self) -> bool {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let many = self.failing.load(Ordering::Relaxed);
        many != 0 && number.is_multiple_of(many)
    }

    /// Is from now on as a server before Kubernetes 1.32, which refuses to stream a list.
    pub fn refuse_streams(&self) {
        self.streams.store(false, Ordering::Relaxed);
    }

    /// Whether lists can be had as a stream.
    pub(super) fn streams(&self) -> bool {
        self.streams.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, inner: MutexGuard<'_, Inner>) {
        let version = inner.version;
        drop(inner);
        self.version.send_if_modified(|told| std::mem::replace(told, version) != version);
    }

    /// Wakes at every change.
    pub(super) fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(super) fn kind(&self, target: &Target) -> Result<Kind, Failure> {
        let inner = self.lock();
        let kind = inner.kind_of(&target.group, &target.plural);
        kind.ok_or_else(|| Failure::NotFound(format!("the resource {}", target.plural)))
    }

    pub(super) fn read(&self, target: &Target) -> Result<Value, Failure> {
        let name = target.name.clone().unwrap_or_default();
        let object = self.lock().objects.get(&key(target, &name)).cloned();
        object.map(|object| stamp(object, target)).ok_or_else(|| Failure::NotFound(target.words()))
    }

    /// All that a target without a name names, and the version that this is of.
    pub(super) fn list(&self, target: &Target) -> (Vec<Value>, u64) {
        let inner = self.lock();
        let listed = inner.objects.iter().filter(|(key, _)| is_of(key, target));
        (listed.map(|(_, object)| stamp(object.clone(), target)).collect(), inner.version)
    }

    /// What has happened since a version to what a target names.
    pub(super) fn since(&self, target: &Target, version: u64) -> Result<(Vec<Change>, u64), Failure> {
        let inner = self.lock();
        if version < inner.forgotten {
            return Err(Failure::Gone);
        }
        let first = inner.log.partition_point(|change| change.version <= version);
        let news = inner.log[first..].iter().filter(|change| is_of(&change.key, target)).cloned();
        let news = news.map(|change| Change { object: stamp(change.object.clone(), target), ..change });
        Ok((news.collect(), inner.version))
    }

    pub(super) fn create(&self, target: &Target, mut object: Value) -> Result<Value, Failure> {
        let kind = self.kind(target)?;
        let mut inner = self.lock();
        let name = match object.pointer("/metadata/name").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => {
                let prefix = object.pointer("/metadata/generateName").and_then(Value::as_str).unwrap_or("x-");
                format!("{prefix}{:05x}", inner.version + 1)
            }
        };
        object["metadata"]["name"] = json!(name);
        let key = key(target, &name);
        if inner.objects.contains_key(&key) {
            return Err(Failure::AlreadyExists(format!("{} {name:?}", target.plural)));
        }
        if kind.has_status {
            remove(&mut object, "status");
        }
        let created = inner.commit(&kind, target, key, None, object);
        self.tell(inner);
        Ok(stamp(created, target))
    }

    pub(super) fn write(&self, target: &Target, write: Write<'_>) -> Result<Value, Failure> {
        let kind = self.kind(target)?;
        let mut inner = self.lock();
        let name = target.name.clone().ok_or(Failure::NotAllowed)?;
        let key = key(target, &name);
        let before = inner.objects.get(&key).cloned();
        let creates = matches!(write, Write::Apply { .. }) && target.subresource.is_none();
        if before.is_none() && !creates {
            return Err(Failure::NotFound(target.words()));
        }
        let mut after = before.clone().unwrap_or_else(|| json!({"metadata": {"name": name}}));
        inner.change(&mut after, &key, target, write)?;
        let expected = after.pointer("/metadata/resourceVersion").filter(|version| **version != json!(""));
        let current = before.as_ref().and_then(|before| before.pointer("/metadata/resourceVersion"));
        if let (Some(expected), Some(current)) = (expected, current)
            && expected != current
        {
            return Err(Failure::Conflict(target.words()));
        }
        separate(&mut after, before.as_ref(), target, &kind);
        let written = inner.commit(&kind, target, key, before, after);
        self.tell(inner);
        Ok(stamp(written, target))
    }

    pub(super) fn delete(&self, target: &Target) -> Result<Value, Failure> {
        let name = target.name.clone().ok_or(Failure::NotAllowed)?;
        let mut inner = self.lock();
        let removed = inner.delete(key(target, &name)).ok_or_else(|| Failure::NotFound(target.words()))?;
        self.tell(inner);
        Ok(stamp(removed, target))
    }
}

impl Inner {
    fn kind_of(&self, group: &str, plural: &str) -> Option<Kind> {
        built_in(group, plural)
            .or_else(|| self.defined().find(|kind| kind.group == group && kind.plural == plural))
    }

    fn kind_named(&self, group: &str, name: &str) -> Option<Kind> {
        let plural = format!("{}s", name.to_lowercase());
        let known = built_in(group, &plural).filter(|kind| kind.kind == name);
        known.or_else(|| self.defined().find(|kind| kind.group == group && kind.kind == name))
    }

    fn defined(&self) -> impl Iterator<Item = Kind> {
        let definitions =
            self.objects.iter().filter(|((_, plural, ..), _)| plural == "customresourcedefinitions");
        definitions.filter_map(|(_, definition)| defined_by(definition))
    }

    fn change(
        &mut self,
        after: &mut Value,
        key: &Key,
        target: &Target,
        write: Write<'_>,
    ) -> Result<(), Failure> {
        match write {
            Write::Replace(object) => *after = object,
            Write::Merge(patch) => json_patch::merge(after, &patch),
            Write::Json(patch) => {
                json_patch::patch(after, &patch).map_err(|error| Failure::BadRequest(error.to_string()))?;
            }
            Write::Apply { manager, fields } => {
                let by = format!("{manager}/{}", target.subresource.as_deref().unwrap_or_default());
                let before = self.applied.insert((key.clone(), by), fields.clone());
                super::apply::apply(after, &before.unwrap_or_default(), &fields);
            }
        }
        Ok(())
    }

    /// Stores what an object has become, unless nothing is different.
    fn commit(
        &mut self,
        kind: &Kind,
        target: &Target,
        key: Key,
        before: Option<Value>,
        mut after: Value,
    ) -> Value {
        let metadata = before.as_ref().map_or(&Value::Null, |before| &before["metadata"]).clone();
        let next = self.version + 1;
        let kept = |field: &str, new: Value| metadata.get(field).cloned().unwrap_or(new);
        after["apiVersion"] = json!(target.api_version());
        after["kind"] = json!(kind.kind);
        after["metadata"]["name"] = json!(key.3);
        if kind.namespaced {
            after["metadata"]["namespace"] = json!(key.2);
        }
        after["metadata"]["uid"] = kept("uid", json!(format!("00000000-0000-4000-8000-{next:012x}")));
        after["metadata"]["creationTimestamp"] =
            kept("creationTimestamp", json!(Timestamp::now().strftime("%FT%TZ").to_string()));
        let changed_spec = before.as_ref().is_none_or(|before| before.get("spec") != after.get("spec"));
        let generation = metadata.get("generation").and_then(Value::as_u64).unwrap_or_default();
        after["metadata"]["generation"] = json!(generation + u64::from(changed_spec));
        after["metadata"]["resourceVersion"] = kept("resourceVersion", json!(""));
        if before.as_ref() == Some(&after) {
            return after;
        }
        self.version = next;
        after["metadata"]["resourceVersion"] = json!(next.to_string());
        let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.objects.insert(key.clone(), after.clone());
        self.log.push(Change { version: next, what, key, before, object: after.clone() });
        after
    }

    fn delete(&mut self, key: Key) -> Option<Value> {
        let mut object = self.objects.remove(&key)?;
        self.applied.retain(|(of, _), _| *of != key);
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let what = "DELETED";
        self.log.push(Change { version: self.version, what, key, before: None, object: object.clone() });
        Some(object)
    }
}

fn key(target: &Target, name: &str) -> Key {
    let namespace = target.namespace.clone().unwrap_or_default();
    (target.group.clone(), target.plural.clone(), namespace, name.to_owned())
}

fn is_of((group, plural, namespace, _): &Key, target: &Target) -> bool {
    *group == target.group
        && *plural == target.plural
        && target.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
}

/// All versions of a kind are stored alike: an object is of the version that it is asked for in.
fn stamp(mut object: Value, target: &Target) -> Value {
    object["apiVersion"] = json!(target.api_version());
    object
}

/// Status is written only by the subresource, and nothing else by it.
fn separate(after: &mut Value, before: Option<&Value>, target: &Target, kind: &Kind) {
    if target.subresource.as_deref() == Some("status") {
        let status = after.get("status").cloned();
        let annotations = after.pointer("/metadata/annotations").cloned();
        *after = before.cloned().unwrap_or_default();
        after["status"] = status.unwrap_or_default();
        // The real server lets metadata through as well.
        if let Some(annotations) = annotations {
            after["metadata"]["annotations"] = annotations;
        }
    } else if kind.has_status {
        match before.and_then(|before| before.get("status")) {
            Some(status) => after["status"] = status.clone(),
            None => remove(after, "status"),
        }
    }
}

fn remove(object: &mut Value, field: &str) {
    object.as_object_mut().map(|fields: &mut Map<String, Value>| fields.remove(field));
}
