//! What every object has.

use serde_json::{Value, json};

use super::names::{label, label_1035, label_value, qualified, subdomain};
use crate::api_server::refusal::Cause;

/// What is wrong with the metadata of an object.
pub(in crate::api_server) fn check(
    group: &str,
    kind: &str,
    _namespaced: bool,
    new: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    let metadata = &new["metadata"];
    let mut causes = Vec::new();
    if old.is_none() {
        check_name(group, kind, metadata, &mut causes);
    }
    check_labels(metadata, &mut causes);
    check_owners(metadata, &mut causes);
    for finalizer in metadata["finalizers"].as_array().into_iter().flatten() {
        let text = finalizer.as_str().unwrap_or_default();
        causes.extend(
            qualified(text).into_iter().map(|words| Cause::invalid("metadata.finalizers", finalizer, words)),
        );
    }
    causes
}

fn check_name(group: &str, kind: &str, metadata: &Value, causes: &mut Vec<Cause>) {
    let Some(name) = metadata["name"].as_str().filter(|name| !name.is_empty()) else {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
        return;
    };
    let words = match (group, kind) {
        ("", "Service" | "Namespace") => label(name),
        ("rbac.authorization.k8s.io", _) => Vec::new(),
        ("", "ReplicationController") => label_1035(name),
        _ => subdomain(name),
    };
    causes.extend(words.into_iter().map(|words| Cause::invalid("metadata.name", &metadata["name"], words)));
}

fn check_labels(metadata: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        let words =
            qualified(key).into_iter().map(|words| Cause::invalid("metadata.labels", &json!(key), words));
        causes.extend(words);
        let text = value.as_str().unwrap_or_default();
        causes.extend(
            label_value(text).into_iter().map(|words| Cause::invalid("metadata.labels", value, words)),
        );
    }
    for key in metadata["annotations"].as_object().into_iter().flatten().map(|(key, _)| key) {
        let words = qualified(&key.to_lowercase());
        let place = "metadata.annotations";
        causes.extend(words.into_iter().map(|words| Cause::invalid(place, &json!(key), words)));
    }
}

fn check_owners(metadata: &Value, causes: &mut Vec<Cause>) {
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
                causes.push(Cause::invalid(format!("metadata.ownerReferences.{name}"), &json!(""), words));
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
        causes.push(Cause {
            reason: "FieldValueInvalid",
            field: "metadata.ownerReferences".to_owned(),
            message: format!("Invalid value: [{shown}]: {words}"),
        });
    }
}

/// An owner as Go writes it, in the order of its fields.
fn shown(owner: &Value) -> String {
    let names = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let fields = names.iter().filter_map(|name| Some(format!("\"{name}\":{}", owner.get(name)?)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}
