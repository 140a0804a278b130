//! The built-in kinds: their types, defaults and validation.

mod address;
mod decode;
mod definition;
mod event;
mod metadata;
mod names;
mod service;
mod simple;
mod webhooks;

#[cfg(test)]
mod tests;

pub(super) use decode::{read, write};
pub(super) use event::convert_event;
pub(super) use metadata::{check as check_metadata, finalizer_warnings};
pub(super) use service::allocate;

use serde_json::{Value, json};

use super::field_set::FieldSet;
use super::objects::set;
use super::status_error::StatusCause;
use super::types;

/// Kinds with a status subresource.
const WITH_STATUS: [&str; 12] = [
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
];

/// Returns the fields of a kind that writes to a subresource do not change.
pub(super) fn reset(kind: &str, subresource: Option<&str>) -> FieldSet {
    match (kind, subresource) {
        ("CustomResourceDefinition", Some("status")) => FieldSet::of(&[&["metadata"], &["spec"]]),
        (_, Some("status")) => FieldSet::of(&[&["spec"]]),
        (kind, None) if WITH_STATUS.contains(&kind) => FieldSet::of(&[&["status"]]),
        _ => FieldSet::default(),
    }
}

/// Sets defaults.
pub(super) fn default(kind: &str, object: &mut Value) {
    match kind {
        "Service" => service::default(object),
        "Secret" => simple::default_secret(object),
        "Namespace" => simple::default_namespace(object),
        "Node" => simple::default_node(object),
        "EndpointSlice" => simple::default_slice(object),
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => webhooks::default(object),
        "CustomResourceDefinition" => definition::default(object),
        _ => {}
    }
}

/// Prepares an object for a write, before validation.
pub(super) fn prepare(kind: &str, new: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    if WITH_STATUS.contains(&kind) {
        keep_apart(kind, new, old, subresource);
    }
    keep_generation(new, old);
    match (kind, subresource) {
        ("Service", None) => service::prepare(new, old),
        // Defaults of its addresses depend on the stored type, not on one that was sent.
        ("Service", _) => service::default(new),
        ("Lease", _) => simple::prepare_lease(new),
        ("Namespace", _) => simple::prepare_namespace(new, old, subresource),
        ("Node", None) => simple::prepare_node(new, old),
        ("EndpointSlice" | "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration", _) => {
            simple::count_generation(new, old, &[]);
        }
        (
            "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "Job" | "Pod" | "PodDisruptionBudget",
            None,
        ) => simple::count_generation(new, old, &["status"]),
        ("CustomResourceDefinition", None) => {
            definition::prepare(new, old);
            simple::count_generation(new, old, &["status"]);
        }
        _ => {}
    }
}

/// Keeps the generation, which no update sets.
fn keep_generation(new: &mut Value, old: Option<&Value>) {
    let Some(old) = old else { return };
    let generation = old["metadata"].get("generation").cloned();
    if let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) {
        set(metadata, "generation", generation);
    }
}

/// Restricts a write to the status, or to everything else, by the subresource.
fn keep_apart(kind: &str, new: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    let Some(fields) = new.as_object_mut() else { return };
    match (subresource, old) {
        (Some("status"), Some(old)) => set(fields, "spec", old.get("spec").cloned()),
        // Nodes register with their status.
        (None, None) if kind == "Node" => {}
        (None, None) => {
            fields.insert("status".to_owned(), json!({}));
            if let Some(of) = types::of_kind(kind) {
                write(&of, new);
            }
        }
        (None, Some(old)) => set(fields, "status", old.get("status").cloned()),
        _ => {}
    }
}

/// Validates an object.
pub(super) fn check(
    group: &str,
    kind: &str,
    new: &Value,
    old: Option<&Value>,
    subresource: Option<&str>,
) -> Vec<StatusCause> {
    match (kind, subresource) {
        ("Service", Some("status")) if old.is_some() => service::check_status(new, old),
        // A write of the status can create a Service, too, if it is complete.
        ("Service", _) => service::check(new, old),
        ("Lease", _) => simple::check_lease(new),
        ("Event", _) => event::check(group, new, old),
        ("Secret", _) => simple::check_secret(new, old),
        ("ConfigMap", _) => simple::check_config_map(new, old),
        ("Node", None) => simple::check_node(new, old),
        ("EndpointSlice", _) => simple::check_slice(new, old),
        ("ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration", _) => webhooks::check(new),
        ("CustomResourceDefinition", None) => definition::check(new, old),
        _ => Vec::new(),
    }
}

/// Returns warnings for the client.
pub(super) fn warnings(kind: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
    match kind {
        "Service" => service::warnings(new, old),
        "Secret" => simple::warn_secret(new),
        _ => Vec::new(),
    }
}
