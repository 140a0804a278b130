//! Preparation of custom resources.

use serde_json::{Map, Value, json};

use crate::api_server::objects::set;

/// Converts numbers without a fraction to integers.
pub(super) fn whole_numbers(value: &mut Value) {
    const MOST: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < MOST);
            if let Some(whole) = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok()) {
                *value = json!(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Keeps spec and status apart, and counts the generation.
pub(super) fn prepare(has_status: bool, new: &mut Value, old: Option<&Value>, subresource: Option<&str>) {
    let Some(fields) = new.as_object_mut() else { return };
    match (subresource, old) {
        (Some("status"), Some(old)) => {
            let status = fields.remove("status");
            let managers = fields.get("metadata").and_then(|metadata| metadata.get("managedFields")).cloned();
            let mut kept = old.as_object().cloned().unwrap_or_default();
            kept.remove("status");
            kept.extend(status.map(|status| ("status".to_owned(), status)));
            if let Some(metadata) = kept.get_mut("metadata").and_then(Value::as_object_mut) {
                set(metadata, "managedFields", managers);
            }
            *fields = kept;
        }
        (None, old) if has_status => set(fields, "status", old.and_then(|old| old.get("status")).cloned()),
        _ => {}
    }
    let generation = match old {
        None => 1,
        Some(old) => {
            let content = |object: &Map<String, Value>| {
                let mut content = object.clone();
                let apart = ["apiVersion", "metadata"].into_iter().chain(has_status.then_some("status"));
                apart.for_each(|name| {
                    content.remove(name);
                });
                content
            };
            let changed = old.as_object().is_none_or(|old| content(old) != content(fields));
            let deleted = |metadata: Option<&Value>| {
                metadata.is_some_and(|metadata| metadata.get("deletionTimestamp").is_some())
            };
            let dying = deleted(fields.get("metadata")) && !deleted(old.get("metadata"));
            let last = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
            last + i64::from(changed || dying)
        }
    };
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("generation".to_owned(), json!(generation));
    }
}
