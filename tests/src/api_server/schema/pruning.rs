//! Preparation of an object by a structural schema before validation: unknown fields and disallowed nulls are
//! removed, defaults are set.

use serde_json::{Map, Value};

use super::{flag, properties};

/// Returns the schema of a field, if there is one.
fn below<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    properties(schema)
        .and_then(|properties| properties.get(name))
        .or_else(|| Some(&schema["additionalProperties"]).filter(|schema| schema.is_object()))
}

/// Removes unknown fields, and records their paths.
pub(super) fn prune(schema: &Value, value: &mut Value, path: &str, root: bool, gone: &mut Vec<String>) {
    let embedded = root || flag(schema, "x-kubernetes-embedded-resource");
    match value {
        Value::Object(fields) => {
            let preserve = flag(schema, "x-kubernetes-preserve-unknown-fields")
                || schema["additionalProperties"] == Value::Bool(true);
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let own = embedded && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
                match (below(schema, &name), fields.get_mut(&name)) {
                    _ if own => {}
                    (Some(schema), Some(value)) => prune(schema, value, &path, false, gone),
                    (None, Some(_)) if !preserve => {
                        fields.remove(&name);
                        gone.push(path);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            let preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
            if schema["items"].is_object() && !preserve {
                for (place, item) in items.iter_mut().enumerate() {
                    prune(&schema["items"], item, &format!("{path}[{place}]"), false, gone);
                }
            }
        }
        _ => {}
    }
}

/// Removes nulls that the schema neither allows nor replaces.
pub(super) fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let Some(schema) = below(schema, name) else { return true };
                !value.is_null() || flag(schema, "nullable") || schema.get("default").is_some()
            });
            for (name, value) in fields {
                if let Some(schema) = below(schema, name) {
                    drop_nulls(schema, value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_nulls(&schema["items"], item)),
        _ => {}
    }
}

/// Sets defaults.
pub(super) fn default(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, schema) in properties(schema).into_iter().flatten() {
                let Some(default) = schema.get("default") else { continue };
                let there = fields.get(name);
                if there.is_none() || (there == Some(&Value::Null) && !flag(schema, "nullable")) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields {
                if let Some(schema) = below(schema, name) {
                    default(schema, value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| default(&schema["items"], item)),
        _ => {}
    }
}

/// Removes unknown fields of the metadata; returns their paths.
pub(in crate::api_server) fn unknown_metadata(metadata: &mut Map<String, Value>) -> Vec<String> {
    let Some(known) = crate::api_server::types::named("meta.ObjectMeta").and_then(|of| of.record()) else {
        return Vec::new();
    };
    let unknown: Vec<String> =
        metadata.keys().filter(|name| !known.fields.contains_key(*name)).cloned().collect();
    for name in &unknown {
        metadata.remove(name);
    }
    unknown.into_iter().map(|name| format!("metadata.{name}")).collect()
}
