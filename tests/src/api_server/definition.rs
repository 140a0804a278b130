//! The lifecycle of CustomResourceDefinitions, and the initial objects of a cluster.

use serde_json::{Value, json};

use super::kinds::KindRegistry;
use super::objects::{name, now, text};

/// Namespaces of every cluster.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Returns a namespace as the server creates it.
pub(super) fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    })
}

/// Returns the initial objects.
pub(super) fn system_objects() -> Vec<Value> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "type": "ClusterIP", "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    });
    NAMESPACES.into_iter().map(namespace).chain([service]).collect()
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "lastTransitionTime": now(), "reason": reason, "message": message,
    })
}

/// Marks a definition as established.
pub(super) fn establish(definition: &mut Value) {
    let mut names = definition["spec"]["names"].clone();
    let kind = text(definition, "/spec/names/kind").to_owned();
    if let Some(fields) = names.as_object_mut() {
        fields.entry("singular").or_insert_with(|| json!(kind.to_lowercase()));
        fields.entry("listKind").or_insert_with(|| json!(format!("{kind}List")));
    }
    definition["spec"]["names"] = names.clone();
    let versions =
        definition.pointer("/spec/versions").and_then(Value::as_array).cloned().unwrap_or_default();
    let stored = versions.iter().filter(|version| version["storage"] == true);
    let stored: Vec<Value> = stored.map(|version| version["name"].clone()).collect();
    if definition["spec"].get("conversion").is_none() {
        definition["spec"]["conversion"] = json!({"strategy": "None"});
    }
    if definition.pointer("/status/storedVersions").is_none_or(Value::is_null) {
        definition["status"]["storedVersions"] = json!(stored);
    }
    definition["status"]["acceptedNames"] = names;
    definition["status"]["conditions"] = json!([
        condition("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
        condition("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"),
    ]);
}

/// Marks a definition as terminating.
pub(super) fn terminate(definition: &mut Value) {
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    let about = condition("Terminating", "True", "InstanceDeletionPending", message);
    match definition.pointer_mut("/status/conditions").and_then(Value::as_array_mut) {
        Some(conditions) => conditions.push(about),
        None => definition["status"]["conditions"] = json!([about]),
    }
}

/// Returns a definition with the result of its name check: established, or the conflict.
pub(super) fn judge(kinds: &KindRegistry, definition: &Value) -> Value {
    let mut judged = definition.clone();
    match conflict(kinds, definition) {
        None if is_established(definition) => {}
        None => establish(&mut judged),
        Some((reason, taken)) => {
            let names = &definition["spec"]["names"];
            judged["status"]["acceptedNames"] =
                json!({"plural": names["plural"], "singular": names["singular"], "kind": ""});
            judged["status"]["conditions"] = json!([
                condition("NamesAccepted", "False", reason, &format!("\"{taken}\" is already in use")),
                condition("Established", "False", "NotAccepted", "not all names are accepted"),
            ]);
            let are_same = |one: &Value, other: &Value| {
                let of = |value: &Value| {
                    value["status"]["conditions"].as_array().map(|all| {
                        all.iter().map(|c| (c["type"].clone(), c["message"].clone())).collect::<Vec<_>>()
                    })
                };
                of(one) == of(other)
            };
            if are_same(&judged, definition) {
                return definition.clone();
            }
        }
    }
    judged
}

pub(super) fn is_established(definition: &Value) -> bool {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "Established" && c["status"] == "True")
}

/// Returns why a name is not available, and the name.
fn conflict(kinds: &KindRegistry, definition: &Value) -> Option<(&'static str, String)> {
    let (own, group) = (name(definition), text(definition, "/spec/group"));
    let others = kinds.all().filter(|kind| {
        kind.group == group && kinds.defined(own).is_none_or(|mine| mine.plural != kind.plural)
    });
    let others: Vec<_> = others.collect();
    let (kind, list_kind) = (text(definition, "/spec/names/kind"), text(definition, "/spec/names/listKind"));
    let is_taken = |name: &str| others.iter().any(|other| other.kind == name || other.list_kind == name);
    if is_taken(list_kind) {
        Some(("ListKindConflict", list_kind.to_owned()))
    } else if is_taken(kind) {
        Some(("KindConflict", kind.to_owned()))
    } else {
        None
    }
}
