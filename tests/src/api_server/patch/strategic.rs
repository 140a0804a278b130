//! Strategic merge patches, which merge associative lists by item.

use serde_json::{Map, Value};

use super::{go_kind, undecoded};
use crate::api_server::status_error::StatusError;
use crate::api_server::types::{ListItems, ListType, ResolvedType, ValueType};

const DIRECTIVE: &str = "$patch";
/// Directives that name a field.
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";
const RETAIN_KEYS: &str = "$retainKeys";

/// Applies a strategic merge patch to an object of a built-in kind.
///
/// # Errors
/// When the patch is not a JSON object, or has an unknown directive.
pub(in crate::api_server) fn strategic(
    of: &ValueType,
    object: &Value,
    body: &str,
) -> Result<Value, StatusError> {
    let patch = match serde_json::from_str(body) {
        Ok(Value::Object(patch)) => patch,
        Ok(other) => {
            return Err(undecoded(&format!(
                "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                go_kind(&other)
            )));
        }
        Err(error) => return Err(undecoded(&super::json_words(body, &error))),
    };
    let fields = object.as_object().cloned().unwrap_or_default();
    Ok(Value::Object(merge_fields(of, fields, &patch)?))
}

fn merge_fields(
    of: &ValueType,
    mut fields: Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, StatusError> {
    match patch.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
        Some("replace") => return Ok(without_directives(patch)),
        Some("delete") => return Ok(Map::new()),
        Some("merge") | None => {}
        Some(other) => {
            let shown: Vec<String> = patch
                .iter()
                .map(|(name, value)| format!("{name}:{}", value.as_str().unwrap_or_default()))
                .collect();
            return Err(StatusError::internal(format!(
                "unknown patch type: {other} in map: map[{}]",
                shown.join(" ")
            )));
        }
    }
    if let Some(kept) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        fields.retain(|name, _| kept.contains(&Value::from(name.as_str())));
    }
    let record = of.record();
    for (name, value) in patch {
        if let Some(name) = name.strip_prefix(DELETE_FROM) {
            let gone = value.as_array().cloned().unwrap_or_default();
            if let Some(items) = fields.get_mut(name).and_then(Value::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if name.starts_with('$') || name.starts_with(SET_ORDER) {
            continue;
        }
        let of = record.as_ref().and_then(|record| record.field(name)).cloned().unwrap_or(ValueType::Any);
        match merged(&of, fields.get(name), value)? {
            Some(value) => fields.insert(name.clone(), value),
            None => fields.remove(name),
        };
    }
    Ok(fields)
}

fn merged(of: &ValueType, there: Option<&Value>, patch: &Value) -> Result<Option<Value>, StatusError> {
    match patch {
        Value::Null => Ok(None),
        Value::Object(patch) => {
            let fields = there.and_then(Value::as_object).cloned().unwrap_or_default();
            merge_fields(of, fields, patch).map(|fields| Some(Value::Object(fields)))
        }
        Value::Array(items) => match of.shape(patch) {
            ResolvedType::List(list) if list.items != ListItems::Atomic => {
                merge_items(&list, there.and_then(Value::as_array), items)
                    .map(|items| Some(Value::Array(items)))
            }
            _ => Ok(Some(patch.clone())),
        },
        patch => Ok(Some(patch.clone())),
    }
}

fn merge_items(
    list: &ListType,
    there: Option<&Vec<Value>>,
    patch: &[Value],
) -> Result<Vec<Value>, StatusError> {
    let mut items = there.cloned().unwrap_or_default();
    // A patch uses the first key only.
    let ListItems::Map(keys) = &list.items else {
        for item in patch {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        return Ok(items);
    };
    let key = keys.first().map_or("", |(name, _)| name.as_str());
    if patch.iter().any(|item| item[DIRECTIVE] == "replace") {
        let items = patch.iter().filter(|item| item[DIRECTIVE] != "replace");
        return Ok(items.cloned().collect());
    }
    for item in patch {
        let Some(fields) = item.as_object() else { continue };
        if !fields.contains_key(key) {
            return Err(StatusError::internal(format!(
                "map: {item} does not contain declared merge key: {key}"
            )));
        }
        let place = items.iter().position(|other| other.get(key) == item.get(key));
        match (place, item[DIRECTIVE].as_str()) {
            (Some(place), Some("delete")) => {
                items.remove(place);
            }
            (None, Some("delete")) => {}
            (Some(place), _) => {
                if let Some(old) = items.get_mut(place) {
                    let there = old.as_object().cloned().unwrap_or_default();
                    *old = Value::Object(merge_fields(&list.element, there, fields)?);
                }
            }
            (None, _) => items.push(Value::Object(without_directives(fields))),
        }
    }
    Ok(items)
}

fn without_directives(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(name, _)| !name.starts_with('$'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
