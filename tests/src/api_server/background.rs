//! What a cluster does by itself: namespaces get what they have, and go with what is in them; definitions are
//! established; objects go with their owners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::definition;
use super::merge::{self, Writer};
use super::objects::{has_finalizers, is_deleted, now, text, uid, uid_of};
use super::shape::OfKind;
use super::store::{Inner, Key, Store};

/// How long after a change it is looked at.
const DELAY: Duration = Duration::from_millis(30);
/// How long a namespace that is to go keeps what is in it, and a definition waits until its kind is served.
const NAMESPACE_GOES_AFTER: Duration = Duration::from_millis(3500);
const ESTABLISHED_AFTER: Duration = Duration::from_millis(200);
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
const DEFINITIONS: &str = "customresourcedefinitions";

/// When something is to be looked at that is not ready yet.
type Agenda = BTreeMap<Key, Instant>;

/// Works until it is aborted.
pub(super) async fn run(store: Arc<Store>) {
    let mut versions = store.versions();
    let mut agenda = Agenda::new();
    loop {
        versions.borrow_and_update();
        tokio::time::sleep(DELAY).await;
        store.faults().resumed().await;
        catch_up(&store, &mut agenda);
        let next = agenda.values().min().copied();
        tokio::select! {
            changed = versions.changed() => if changed.is_err() {
                return;
            },
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

fn catch_up(store: &Store, agenda: &mut Agenda) {
    let mut inner = store.lock();
    let now = Instant::now();
    inner.touched.extend(agenda.iter().filter(|(_, due)| **due <= now).map(|(key, _)| key.clone()));
    // What is done may have to be looked at as well.
    while work(&mut inner, agenda) {}
    agenda.retain(|key, _| inner.objects.contains_key(key));
    store.tell(inner);
}

/// Whether something is ready that has to wait.
fn is_ready(agenda: &mut Agenda, key: &Key, wait: Duration) -> bool {
    let now = Instant::now();
    *agenda.entry(key.clone()).or_insert(now + wait) <= now
}

/// Looks at what has been touched; true if there was anything.
fn work(inner: &mut Inner, agenda: &mut Agenda) -> bool {
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
        // Objects of a definition may be what it waits for.
        definitions_changed |= object.is_none() && inner.kinds.of(&key.0, &key.1).is_some_and(|k| k.habits.is_custom);
        owners_changed |= object.is_none_or(|object| {
            object.pointer("/metadata/ownerReferences").is_some() || is_deleted(&object)
        });
    }
    if definitions_changed {
        definitions(inner, agenda);
    }
    for name in namespaces {
        namespace(inner, agenda, &name);
    }
    if owners_changed {
        collect(inner);
    }
    !touched.is_empty()
}

fn key(group: &str, plural: &str, namespace: &str, name: &str) -> Key {
    (group.to_owned(), plural.to_owned(), namespace.to_owned(), name.to_owned())
}

/// What is to go, goes as if somebody had deleted it.
fn delete(inner: &mut Inner, key: &Key) {
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

/// Stores an object without one of its finalizers, or takes it away with the last.
fn release(inner: &mut Inner, key: &Key, finalizer: &str) {
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
        inner.vanish(key, object);
    }
}

fn namespace(inner: &mut Inner, agenda: &mut Agenda, name: &str) {
    let own = key("", "namespaces", "", name);
    let Some(namespace) = inner.objects.get(&own).cloned() else { return };
    if is_deleted(&namespace) {
        if !is_ready(agenda, &own, NAMESPACE_GOES_AFTER) {
            return;
        }
        let within: Vec<Key> = inner.objects.keys().filter(|key| key.2 == name).cloned().collect();
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

fn definitions(inner: &mut Inner, agenda: &mut Agenda) {
    let all = inner.objects.iter().filter(|(key, _)| key.1 == DEFINITIONS);
    let all: Vec<(Key, Arc<Value>)> = all.map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
    for (key, object) in all {
        if is_deleted(&object) {
            end_definition(inner, &key, &object);
            continue;
        }
        if !definition::is_established(&object) && !is_ready(agenda, &key, ESTABLISHED_AFTER) {
            continue;
        }
        agenda.remove(&key);
        let judged = owned(inner, &object, definition::judge(inner, &object));
        let is_established = definition::is_established(&judged);
        if judged != *object {
            inner.put(&key, judged.clone());
        }
        if is_established {
            inner.kinds.define(&judged);
        }
    }
}

/// What the server itself says of a definition is its own.
fn owned(inner: &Inner, before: &Value, after: Value) -> Value {
    let Some(kind) = inner.kinds.of("apiextensions.k8s.io", DEFINITIONS) else { return after };
    if after == *before {
        return after;
    }
    let writer = Writer {
        manager: "kube-apiserver",
        subresource: Some("status"),
        api_version: "apiextensions.k8s.io/v1",
        now: &now(),
    };
    merge::track(Some(before), after, &writer, &OfKind(kind))
}

/// A definition goes when its objects have gone.
fn end_definition(inner: &mut Inner, key: &Key, definition: &Value) {
    let (group, plural) = (text(definition, "/spec/group"), text(definition, "/spec/names/plural"));
    let is_own = |key: &&Key| key.0 == group && key.1 == plural;
    if inner.kinds.defined(&key.3).is_some() {
        let objects: Vec<Key> = inner.objects.keys().filter(is_own).cloned().collect();
        objects.iter().for_each(|key| delete(inner, key));
    }
    if inner.objects.keys().filter(is_own).count() == 0 {
        inner.kinds.forget(&key.3);
        release(inner, key, CLEANUP);
    }
}

/// Objects whose owners are gone go, too; owners that wait for them are released.
fn collect(inner: &mut Inner) {
    let owned = inner.objects.iter().filter_map(|(key, object)| {
        let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
        let owners = owners.iter().map(|owner| uid_of(&json!({"metadata": owner})).to_owned());
        Some((key.clone(), owners.collect::<Vec<_>>()))
    });
    let owned: Vec<(Key, Vec<String>)> = owned.collect();
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
    let waiting: Vec<(Key, Arc<Value>)> =
        waiting.map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
    for (key, object) in waiting {
        let dependents =
            owned.iter().filter(|(_, owners)| owners.iter().any(|owner| owner == uid_of(&object)));
        let dependents: Vec<Key> = dependents.map(|(key, _)| key.clone()).collect();
        if has(&object, "orphan") {
            dependents.iter().for_each(|dependent| disown(inner, dependent, uid_of(&object)));
            release(inner, &key, "orphan");
        } else {
            dependents.iter().for_each(|dependent| delete(inner, dependent));
            if !dependents.iter().any(|dependent| inner.objects.contains_key(dependent)) {
                release(inner, &key, "foregroundDeletion");
            }
        }
    }
}

fn disown(inner: &mut Inner, key: &Key, owner: &str) {
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
