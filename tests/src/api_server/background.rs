//! The controllers of a cluster: namespaces get their default objects, and are deleted with their contents;
//! definitions are established; objects are deleted with their owners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::conversion::KindVersions;
use super::definition;
use super::merge::{self, FieldWriter};
use super::objects::{has_finalizers, is_deleted, now, text, uid, uid_of};
use super::store::{ObjectKey, ObjectStore, StoreState};

/// Delay after a change before it is processed.
const DELAY: Duration = Duration::from_millis(30);
/// How long a terminating namespace keeps its contents, and how long a definition waits until it is
/// established.
const NAMESPACE_GOES_AFTER: Duration = Duration::from_millis(3500);
const ESTABLISHED_AFTER: Duration = Duration::from_millis(200);
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
const DEFINITIONS: &str = "customresourcedefinitions";

/// When pending objects are due.
type DueTimes = BTreeMap<ObjectKey, Instant>;

/// Runs until it is aborted.
pub(super) async fn run(store: Arc<ObjectStore>) {
    let mut versions = store.versions();
    let mut due = DueTimes::new();
    loop {
        versions.borrow_and_update();
        tokio::time::sleep(DELAY).await;
        store.faults().resumed().await;
        process_all(&store, &mut due);
        let next = due.values().min().copied();
        tokio::select! {
            changed = versions.changed() => if changed.is_err() {
                return;
            },
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

fn process_all(store: &ObjectStore, due: &mut DueTimes) {
    let mut inner = store.lock();
    let now = Instant::now();
    inner.touched.extend(due.iter().filter(|(_, due)| **due <= now).map(|(key, _)| key.clone()));
    // The changes may need processing themselves.
    while process_touched(&mut inner, due) {}
    due.retain(|key, _| inner.objects.contains_key(key));
    store.notify(inner);
}

/// Returns whether the waiting time of an object is over.
fn is_ready(due: &mut DueTimes, key: &ObjectKey, wait: Duration) -> bool {
    let now = Instant::now();
    *due.entry(key.clone()).or_insert(now + wait) <= now
}

/// Processes touched objects; returns whether there were any.
fn process_touched(inner: &mut StoreState, due: &mut DueTimes) -> bool {
    let touched = std::mem::take(&mut inner.touched);
    let mut namespaces = BTreeSet::new();
    let mut owners_changed = false;
    let mut definitions_changed = false;
    for key in &touched {
        let object = inner.objects.get(key).cloned();
        match key.1.as_str() {
            "namespaces" => {
                namespaces.insert(key.3.clone());
            }
            DEFINITIONS => definitions_changed = true,
            _ if !key.2.is_empty() => {
                namespaces.insert(key.2.clone());
            }
            _ => {}
        }
        // A terminating definition may wait for these objects.
        definitions_changed |=
            object.is_none() && inner.kinds.of(&key.0, &key.1).is_some_and(|k| k.traits.is_custom);
        owners_changed |= object.is_none_or(|object| {
            object.pointer("/metadata/ownerReferences").is_some() || is_deleted(&object)
        });
    }
    if definitions_changed {
        definitions(inner, due);
    }
    for name in namespaces {
        namespace(inner, due, &name);
    }
    if owners_changed {
        collect(inner);
    }
    !touched.is_empty()
}

fn key(group: &str, plural: &str, namespace: &str, name: &str) -> ObjectKey {
    (group.to_owned(), plural.to_owned(), namespace.to_owned(), name.to_owned())
}

/// Deletes an object as a client would.
fn delete(inner: &mut StoreState, key: &ObjectKey) {
    let Some(object) = inner.objects.get(key).cloned() else { return };
    if !has_finalizers(&object) {
        inner.remove(key);
    } else if !is_deleted(&object) {
        let mut object = (*object).clone();
        object["metadata"]["deletionTimestamp"] = json!(now());
        object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        if let Some(generation) = object["metadata"]["generation"].as_u64() {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        inner.put(key, object);
    }
}

/// Removes a finalizer of an object, and the object with the last.
fn release(inner: &mut StoreState, key: &ObjectKey, finalizer: &str) {
    let Some(object) = inner.objects.get(key) else { return };
    let mut object = (**object).clone();
    if let Some(finalizers) = object.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|other| other != finalizer);
        if finalizers.is_empty() {
            super::objects::unset(&mut object, "finalizers");
        }
    }
    if has_finalizers(&object) {
        inner.put(key, object);
    } else {
        inner.remove_with_last(key, object);
    }
}

fn namespace(inner: &mut StoreState, due: &mut DueTimes, name: &str) {
    let own = key("", "namespaces", "", name);
    let Some(namespace) = inner.objects.get(&own).cloned() else { return };
    if is_deleted(&namespace) {
        if !is_ready(due, &own, NAMESPACE_GOES_AFTER) {
            return;
        }
        let within: Vec<ObjectKey> = inner.objects.keys().filter(|key| key.2 == name).cloned().collect();
        within.iter().for_each(|key| delete(inner, key));
        if !inner.objects.keys().any(|key| key.2 == name) {
            inner.remove(&own);
        }
        return;
    }
    let metadata = |name: &str, namespace: &str| json!({"name": name, "namespace": namespace, "uid": uid(), "creationTimestamp": now()});
    let account = key("", "serviceaccounts", name, "default");
    if !inner.objects.contains_key(&account) {
        let object =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("default", name)});
        inner.put(&account, object);
    }
    let authority = key("", "configmaps", name, "kube-root-ca.crt");
    if !inner.objects.contains_key(&authority) {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("kube-root-ca.crt", name),
            "data": {"ca.crt": ""},
        });
        inner.put(&authority, object);
    }
}

fn definitions(inner: &mut StoreState, due: &mut DueTimes) {
    let all = inner.of_kind("apiextensions.k8s.io", DEFINITIONS);
    let all: Vec<(ObjectKey, Arc<Value>)> =
        all.map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
    for (key, object) in all {
        if is_deleted(&object) {
            end_definition(inner, &key, &object);
            continue;
        }
        if !definition::is_established(&object) && !is_ready(due, &key, ESTABLISHED_AFTER) {
            continue;
        }
        due.remove(&key);
        let judged = owned(inner, &object, definition::judge(&inner.kinds, &object));
        let is_established = definition::is_established(&judged);
        if judged != *object {
            inner.put(&key, judged.clone());
        }
        if is_established {
            inner.kinds.define(&judged);
        }
    }
}

/// Makes the server the manager of the fields of a definition that it has changed.
fn owned(inner: &StoreState, before: &Value, after: Value) -> Value {
    let Some(kind) = inner.kinds.of("apiextensions.k8s.io", DEFINITIONS) else { return after };
    if after == *before {
        return after;
    }
    let writer = FieldWriter {
        manager: "kube-apiserver",
        subresource: Some("status"),
        api_version: "apiextensions.k8s.io/v1",
        now: &now(),
    };
    merge::track(Some(before), after, &writer, &KindVersions(kind))
}

/// Removes a definition once its objects are gone.
fn end_definition(inner: &mut StoreState, key: &ObjectKey, definition: &Value) {
    let (group, plural) = (text(definition, "/spec/group"), text(definition, "/spec/names/plural"));
    if inner.kinds.defined(&key.3).is_some() {
        inner.keys_of(group, plural).iter().for_each(|key| delete(inner, key));
    }
    if inner.of_kind(group, plural).next().is_none() {
        inner.kinds.remove(&key.3);
        release(inner, key, CLEANUP);
    }
}

/// Deletes objects whose owners are gone, and releases owners that wait for them.
fn collect(inner: &mut StoreState) {
    let owned = inner.objects.iter().filter_map(|(key, object)| {
        let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
        let owners = owners.iter().map(|owner| uid_of(&json!({"metadata": owner})).to_owned());
        Some((key.clone(), owners.collect::<Vec<_>>()))
    });
    let owned: Vec<(ObjectKey, Vec<String>)> = owned.collect();
    for (key, owners) in &owned {
        if !owners.is_empty() && !owners.iter().any(|owner| inner.uids.contains_key(owner)) {
            delete(inner, key);
        }
    }
    let has = |object: &Value, finalizer: &str| {
        let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        is_deleted(object) && finalizers.is_some_and(|all| all.iter().any(|other| other == finalizer))
    };
    let waiting =
        inner.objects.iter().filter(|(_, object)| has(object, "foregroundDeletion") || has(object, "orphan"));
    let waiting: Vec<(ObjectKey, Arc<Value>)> =
        waiting.map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
    for (key, object) in waiting {
        let dependents =
            owned.iter().filter(|(_, owners)| owners.iter().any(|owner| owner == uid_of(&object)));
        let dependents: Vec<ObjectKey> = dependents.map(|(key, _)| key.clone()).collect();
        if has(&object, "orphan") {
            dependents.iter().for_each(|dependent| remove_owner(inner, dependent, uid_of(&object)));
            release(inner, &key, "orphan");
        } else {
            dependents.iter().for_each(|dependent| delete(inner, dependent));
            if !dependents.iter().any(|dependent| inner.objects.contains_key(dependent)) {
                release(inner, &key, "foregroundDeletion");
            }
        }
    }
}

fn remove_owner(inner: &mut StoreState, key: &ObjectKey, owner: &str) {
    let Some(object) = inner.objects.get(key) else { return };
    let mut object = (**object).clone();
    if let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
        owners.retain(|other| other["uid"] != owner);
        if owners.is_empty() {
            super::objects::unset(&mut object, "ownerReferences");
        }
    }
    inner.put(key, object);
}
