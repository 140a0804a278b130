//! Uniqueness of items in lists that are sets or maps.

use serde_json::{Map, Value};

use super::{child, old_item, properties};
use crate::api_server::status_error::StatusCause;

/// Reports duplicates in such lists. Unchanged values are skipped.
pub(super) fn check(
    schema: &Value,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<StatusCause>,
) {
    if old == Some(value) {
        return;
    }
    match value {
        Value::Array(items) => {
            check_items(schema, items, path, causes);
            for (place, item) in items.iter().enumerate() {
                let old = old_item(schema, old, item);
                check(&schema["items"], item, old, &format!("{path}[{place}]"), causes);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let of = properties(schema).and_then(|properties| properties.get(name));
                let of = of.unwrap_or(&schema["additionalProperties"]);
                check(of, value, old.and_then(|old| old.get(name)), &child(path, name), causes);
            }
        }
        _ => {}
    }
}

fn check_items(schema: &Value, items: &[Value], path: &str, causes: &mut Vec<StatusCause>) {
    let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Vec::new(),
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            keys.filter_map(Value::as_str).collect()
        }
        _ => return,
    };
    let default = |key: &str| schema["items"]["properties"][key].get("default").cloned();
    let identity = |item: &Value| -> Value {
        if keys.is_empty() {
            return item.clone();
        }
        let field = |key: &&str| Some(((*key).to_owned(), item.get(*key).cloned().or_else(|| default(key))?));
        Value::Object(keys.iter().filter_map(field).collect::<Map<_, _>>())
    };
    let seen: Vec<Value> = items.iter().map(identity).collect();
    for (place, one) in seen.iter().enumerate() {
        if seen.iter().take(place).any(|other| other == one) {
            causes.push(StatusCause::duplicate(format!("{path}[{place}]"), one));
        }
    }
}
