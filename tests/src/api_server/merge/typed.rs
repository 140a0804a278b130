//! Typed objects: validation against a type, and the set of fields.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::api_server::field_set::{Element, FieldSet, Item};
use crate::api_server::types::{ListItems, ListType, RecordType, ResolvedType, ScalarType, ValueType};

/// Returns the path element that identifies an item of a list.
pub(super) fn step_of(list: &ListType, item: &Value) -> Result<Element, String> {
    let keys = match &list.items {
        ListItems::Set | ListItems::Atomic => return step_of_value(item),
        ListItems::Map(keys) => keys,
    };
    let fields = match item {
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        Value::Object(fields) => fields,
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let value = |(name, default): &(String, Option<Value>)| {
        let value = fields.get(name).or(default.as_ref())?;
        Some((name.clone(), Item(value.clone())))
    };
    let mut found: Vec<_> = keys.iter().filter_map(value).collect();
    if found.is_empty() {
        let names = keys.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(" ");
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{names}] (and doesn't have default values for any key fields)"
        ));
    }
    found.sort();
    Ok(Element::Key(found))
}

fn step_of_value(item: &Value) -> Result<Element, String> {
    match item {
        Value::Null => Err("associative list without keys has an element that's a null".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        scalar => Ok(Element::Value(Item(scalar.clone()))),
    }
}

/// Returns the type errors of an object, with paths, in the real server's words.
pub(super) fn violations(of: &ValueType, value: &Value, duplicates: bool) -> Vec<String> {
    let mut found = Vec::new();
    check(of, value, "", duplicates, &mut found);
    found
}

fn check(of: &ValueType, value: &Value, path: &str, duplicates: bool, found: &mut Vec<String>) {
    let mut wrong = |words: &str| {
        found.push(format!("{path}: {words}, got {}", shown(value)));
    };
    match (of.shape(value), value) {
        (_, Value::Null) => {}
        (ResolvedType::Scalar(scalar), value) => {
            if let Some(words) = unfit(scalar, value) {
                found.push(format!("{path}: {words}"));
            }
        }
        (ResolvedType::List(list), Value::Array(items)) => check_items(&list, items, path, duplicates, found),
        (ResolvedType::List(_), _) => wrong("expected list"),
        (ResolvedType::Record(record), Value::Object(fields)) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match record.field(name) {
                    Some(of) => check(of, value, &path, duplicates, found),
                    None => found.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        (ResolvedType::Record(_), _) => wrong("expected map"),
    }
}

fn check_items(list: &ListType, items: &[Value], path: &str, duplicates: bool, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (place, item) in items.iter().enumerate() {
        let mut step = Element::Index(place);
        if list.items != ListItems::Atomic {
            match step_of(list, item) {
                Ok(of_item) => step = of_item,
                Err(words) => {
                    found.push(format!("{path}: element {place}: {words}"));
                    return;
                }
            }
            if !seen.insert(step.clone()) && !duplicates {
                found.push(format!("{path}: duplicate entries for key {step}"));
            }
        }
        check(&list.element, item, &format!("{path}{step}"), duplicates, found);
    }
}

/// Returns why a value is not of a type, in the real server's words, with Go's representation of the value.
fn unfit(scalar: Option<ScalarType>, value: &Value) -> Option<String> {
    let single = !value.is_array() && !value.is_object();
    match scalar {
        Some(ScalarType::String | ScalarType::Time | ScalarType::MicroTime | ScalarType::Bytes)
            if !value.is_string() =>
        {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go(value)))
        }
        Some(ScalarType::Boolean) if !value.is_boolean() => {
            Some(format!("expected boolean, got {}", shown(value)))
        }
        Some(ScalarType::Int32 | ScalarType::Int64 | ScalarType::Float | ScalarType::Number)
            if !value.is_number() =>
        {
            Some(format!("expected numeric (int or float), got {}", go_type(value)))
        }
        _ if single => None,
        _ => Some(format!("expected any scalar, got {}", shown(value))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("&{{{text}}}"),
        value => format!("&{{{}}}", go(value)),
    }
}

fn go(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}:{}", go(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
        _ => "<nil>",
    }
}

/// Returns the fields of an object.
pub(super) fn field_set(of: &ValueType, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    state(of, value, &mut Vec::new(), &mut set);
    set
}

fn state(of: &ValueType, value: &Value, path: &mut Vec<Element>, set: &mut FieldSet) {
    match (of.shape(value), value) {
        (ResolvedType::List(list), _) if list.items == ListItems::Atomic => set.insert(path),
        (ResolvedType::List(list), Value::Array(items)) => {
            for item in items {
                let Ok(step) = step_of(&list, item) else { continue };
                path.push(step);
                state(&list.element, item, path, set);
                set.insert(path);
                path.pop();
            }
        }
        (ResolvedType::List(_), _) => {}
        (ResolvedType::Record(record), _) if record.atomic => set.insert(path),
        (ResolvedType::Record(record), Value::Object(fields)) => state_fields(&record, fields, path, set),
        (ResolvedType::Record(_), _) => {}
        (ResolvedType::Scalar(_), _) => set.insert(path),
    }
}

fn state_fields(
    record: &RecordType,
    fields: &Map<String, Value>,
    path: &mut Vec<Element>,
    set: &mut FieldSet,
) {
    for (name, value) in fields {
        let Some(of) = record.field(name) else { continue };
        path.push(Element::Field(name.clone()));
        state(of, value, path, set);
        let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        if empty || !record.fields.contains_key(name) {
            set.insert(path);
        }
        path.pop();
    }
}

/// Returns the set with the fields that contain others as members, too.
pub(super) fn with_holders(of: &ValueType, set: &FieldSet) -> FieldSet {
    let record = of.record();
    let mut whole = set.clone();
    for (step, below) in &set.children {
        let named = match (step, &record) {
            (Element::Field(name), Some(record)) => {
                if record.fields.contains_key(name) {
                    whole.members.insert(step.clone());
                }
                record.field(name).cloned()
            }
            (Element::Key(_), _) => element_of(of),
            _ => None,
        };
        let below = with_holders(&named.unwrap_or(ValueType::Any), below);
        whole.children.insert(step.clone(), below);
    }
    whole
}

fn element_of(of: &ValueType) -> Option<ValueType> {
    match of.shape(&Value::Null) {
        ResolvedType::List(list) => Some(list.element.clone()),
        _ => None,
    }
}

/// Compares two values; numbers numerically.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| same(left, right)))
        }
        (left, right) => left == right,
    }
}
