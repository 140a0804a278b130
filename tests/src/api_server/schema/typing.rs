//! Types derived from a structural schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{flag, properties};
use crate::api_server::types::{FieldType, ListItems, ListType, RecordType, ScalarType, ValueType};

/// Returns the type of an object of the kind: its schema, and the fields of every object.
pub(super) fn object(schema: &Value) -> ValueType {
    let Some(record) = of(schema).record() else { return ValueType::Any };
    let Ok(mut record) = Arc::try_unwrap(record) else { return ValueType::Any };
    for name in ["apiVersion", "kind"] {
        record.fields.insert(name.to_owned(), FieldType::optional(ValueType::Scalar(ScalarType::String)));
    }
    record.fields.insert("metadata".to_owned(), FieldType::optional(ValueType::Named("meta.ObjectMeta")));
    ValueType::Record(Arc::new(record))
}

/// Returns the type of a schema.
pub(super) fn of(schema: &Value) -> ValueType {
    if flag(schema, "x-kubernetes-int-or-string") {
        return ValueType::Scalar(ScalarType::IntOrString);
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        return object(&without_mark(schema));
    }
    match schema["type"].as_str() {
        Some("object") => ValueType::Record(Arc::new(record(schema))),
        Some("array") => {
            ValueType::List(Arc::new(ListType { element: of(&schema["items"]), items: items(schema) }))
        }
        Some("string") => ValueType::Scalar(ScalarType::String),
        Some("boolean") => ValueType::Scalar(ScalarType::Boolean),
        Some("integer" | "number") => ValueType::Scalar(ScalarType::Number),
        _ => ValueType::Any,
    }
}

fn without_mark(schema: &Value) -> Value {
    let mut fields = schema.as_object().cloned().unwrap_or_default();
    fields.remove("x-kubernetes-embedded-resource");
    fields.insert("type".to_owned(), Value::from("object"));
    Value::Object(fields)
}

fn record(schema: &Value) -> RecordType {
    let fields: BTreeMap<_, _> = properties(schema)
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.clone(), FieldType::optional(of(schema))))
        .collect();
    let rest = match &schema["additionalProperties"] {
        Value::Object(_) => Some(of(&schema["additionalProperties"])),
        Value::Bool(true) => Some(ValueType::Any),
        _ if flag(schema, "x-kubernetes-preserve-unknown-fields") => Some(ValueType::Any),
        _ => None,
    };
    let atomic = schema["x-kubernetes-map-type"] == "atomic";
    RecordType { name: String::new(), fields, rest, atomic }
}

fn items(schema: &Value) -> ListItems {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListItems::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            let default = |key: &str| schema["items"]["properties"][key].get("default").cloned();
            ListItems::Map(keys.filter_map(Value::as_str).map(|key| (key.to_owned(), default(key))).collect())
        }
        _ => ListItems::Atomic,
    }
}
