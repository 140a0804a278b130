//! The built-in kinds: their types, what they default to, and what they refuse.

mod decode;
mod metadata;
mod names;
mod types;

pub(super) use decode::{read, write};
pub(super) use metadata::check as check_metadata;
pub(super) use types::{named, root};

use serde_json::{Value, json};

use super::form::set;
use super::merge::FieldSet;
use super::refusal::Cause;

/// Kinds that are in no namespace.
const OF_CLUSTER: [&str; 8] = [
    "Node",
    "Namespace",
    "CustomResourceDefinition",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ClusterRole",
    "ClusterRoleBinding",
    "PriorityClass",
];

/// Whether objects of a kind are in namespaces.
pub(super) fn is_namespaced(_group: &str, kind: &str) -> bool {
    !OF_CLUSTER.contains(&kind)
}

/// Fields that a path of a kind leaves as they are.
pub(super) fn reset(_group: &str, kind: &str, subresource: Option<&str>) -> FieldSet {
    let has_status = named_status(kind);
    match subresource {
        Some("status") => FieldSet::of(&[&["spec"]]),
        None if has_status => FieldSet::of(&[&["status"]]),
        _ => FieldSet::default(),
    }
}

/// Whether a kind has a status of its own path.
fn named_status(kind: &str) -> bool {
    [
        "Service",
        "Node",
        "Namespace",
        "Pod",
        "Deployment",
        "DaemonSet",
        "StatefulSet",
        "ReplicaSet",
        "Job",
        "PodDisruptionBudget",
        "CustomResourceDefinition",
        "PersistentVolumeClaim",
    ]
    .contains(&kind)
}

/// Puts in what is not there and has a default.
pub(super) fn default(_group: &str, _kind: &str, _object: &mut Value) {}

/// Does what a kind does with each write before it is looked at.
pub(super) fn prepare(
    _group: &str,
    kind: &str,
    new: &mut Value,
    old: Option<&Value>,
    subresource: Option<&str>,
) {
    if !named_status(kind) {
        return;
    }
    let Some(fields) = new.as_object_mut() else { return };
    match (subresource, old) {
        (Some("status"), Some(old)) => set(fields, "spec", old.get("spec").cloned()),
        (None, old) => {
            set(fields, "status", old.and_then(|old| old.get("status")).cloned().or_else(|| Some(json!({}))))
        }
        _ => {}
    }
}

/// What is wrong with an object.
pub(super) fn check(
    _group: &str,
    _kind: &str,
    _new: &Value,
    _old: Option<&Value>,
    _subresource: Option<&str>,
) -> Vec<Cause> {
    Vec::new()
}

/// What the client is warned of.
pub(super) fn warnings(_group: &str, _kind: &str, _new: &Value, _old: Option<&Value>) -> Vec<String> {
    Vec::new()
}
