//! Validation of the metadata of all objects.

use serde_json::{Value, json};

use super::names::{label, label_value, qualified, subdomain};
use crate::api_server::status_error::StatusCause;

/// Maximum size of all annotations.
const MOST_ANNOTATIONS: usize = 256 * 1024;
/// Standard finalizers, which have no domain.
const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
/// Kinds of the core group, whose finalizers need a domain.
const OF_CORE: [&str; 9] = [
    "ConfigMap",
    "Secret",
    "Service",
    "Node",
    "Namespace",
    "Pod",
    "ServiceAccount",
    "Endpoints",
    "PersistentVolumeClaim",
];

/// Validates the metadata of an object.
pub(in crate::api_server) fn check(
    group: &str,
    kind: &str,
    new: &Value,
    old: Option<&Value>,
) -> Vec<StatusCause> {
    let metadata = &new["metadata"];
    let mut causes = Vec::new();
    if old.is_none() {
        check_name(group, kind, metadata, &mut causes);
    }
    check_labels(metadata, &mut causes);
    check_owners(metadata, &mut causes);
    check_finalizers(kind, metadata, &mut causes);
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    let size: usize = annotations.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MOST_ANNOTATIONS {
        causes.push(StatusCause::too_long("metadata.annotations", MOST_ANNOTATIONS));
    }
    causes
}

fn check_finalizers(kind: &str, metadata: &Value, causes: &mut Vec<StatusCause>) {
    for (number, finalizer) in metadata["finalizers"].as_array().into_iter().flatten().enumerate() {
        let text = finalizer.as_str().unwrap_or_default();
        let words = qualified(text);
        if words.is_empty() && OF_CORE.contains(&kind) && !text.contains('/') && !STANDARD.contains(&text) {
            let words = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(StatusCause::invalid(format!("metadata.finalizers[{number}]"), finalizer, words));
        }
        causes.extend(
            words.into_iter().map(|words| StatusCause::invalid("metadata.finalizers", finalizer, words)),
        );
    }
}

/// Returns warnings about finalizers.
pub(in crate::api_server) fn finalizer_warnings(object: &Value) -> Vec<String> {
    let finalizers =
        object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let plain = finalizers.filter(|name| !name.contains('/') && !STANDARD.contains(name));
    plain
        .map(|name| {
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
            )
        })
        .collect()
}

fn check_name(group: &str, kind: &str, metadata: &Value, causes: &mut Vec<StatusCause>) {
    let generated = metadata["generateName"].as_str().unwrap_or_default();
    if !generated.is_empty() {
        let words = words_of(group, kind, generated.trim_end_matches('-')).into_iter();
        let place = "metadata.generateName";
        causes.extend(words.map(|words| StatusCause::invalid(place, &metadata["generateName"], words)));
    }
    let Some(name) = metadata["name"].as_str().filter(|name| !name.is_empty()) else {
        causes.push(StatusCause::required("metadata.name", "name or generateName is required"));
        return;
    };
    causes.extend(
        words_of(group, kind, name)
            .into_iter()
            .map(|words| StatusCause::invalid("metadata.name", &metadata["name"], words)),
    );
}

fn words_of(group: &str, kind: &str, name: &str) -> Vec<String> {
    match (group, kind) {
        ("", "Service" | "Namespace") => label(name),
        ("rbac.authorization.k8s.io", _) => Vec::new(),
        _ => subdomain(name),
    }
}

fn check_labels(metadata: &Value, causes: &mut Vec<StatusCause>) {
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        let words = qualified(key)
            .into_iter()
            .map(|words| StatusCause::invalid("metadata.labels", &json!(key), words));
        causes.extend(words);
        let text = value.as_str().unwrap_or_default();
        causes.extend(
            label_value(text).into_iter().map(|words| StatusCause::invalid("metadata.labels", value, words)),
        );
    }
    for key in metadata["annotations"].as_object().into_iter().flatten().map(|(key, _)| key) {
        let words = qualified(&key.to_lowercase());
        let place = "metadata.annotations";
        causes.extend(words.into_iter().map(|words| StatusCause::invalid(place, &json!(key), words)));
    }
}

fn check_owners(metadata: &Value, causes: &mut Vec<StatusCause>) {
    let owners: Vec<&Value> = metadata["ownerReferences"].as_array().into_iter().flatten().collect();
    let text = |owner: &Value, name: &str| owner[name].as_str().unwrap_or_default().to_owned();
    for owner in &owners {
        for (name, words) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(owner, name).is_empty() {
                causes.push(StatusCause::invalid(
                    format!("metadata.ownerReferences.{name}"),
                    &json!(""),
                    words,
                ));
            }
        }
    }
    let mut controllers = owners.iter().filter(|owner| owner["controller"] == true);
    if let (Some(first), Some(second)) = (controllers.next(), controllers.next()) {
        let named = |owner: &Value| format!("{}/{}", text(owner, "kind"), text(owner, "name"));
        let words = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            named(first),
            named(second)
        );
        let shown = owners.iter().map(|owner| shown(owner)).collect::<Vec<_>>().join(",");
        causes.push(StatusCause {
            reason: "FieldValueInvalid",
            field: "metadata.ownerReferences".to_owned(),
            message: format!("Invalid value: [{shown}]: {words}"),
        });
    }
}

/// Formats an owner as Go does, in the order of its fields.
fn shown(owner: &Value) -> String {
    let names = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let fields = names.iter().filter_map(|name| Some(format!("\"{name}\":{}", owner.get(name)?)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}
