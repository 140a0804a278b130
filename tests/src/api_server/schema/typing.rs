//! Types of a structural schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{flag, properties};
use crate::api_server::types::{Field, Items, List, Record, Scalar, Type};

/// What an object of the kind is: its schema, and what every object has.
pub(super) fn object(schema: &Value) -> Type {
    let Some(record) = of(schema).record() else { return Type::Any };
    let Ok(mut record) = Arc::try_unwrap(record) else { return Type::Any };
    for name in ["apiVersion", "kind"] {
        record.fields.insert(name.to_owned(), Field::optional(Type::Scalar(Scalar::String)));
    }
    record.fields.insert("metadata".to_owned(), Field::optional(Type::Named("meta.ObjectMeta")));
    Type::Record(Arc::new(record))
}

/// What a schema lets a value be.
pub(super) fn of(schema: &Value) -> Type {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Type::Scalar(Scalar::IntOrString);
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        return object(&without_mark(schema));
    }
    match schema["type"].as_str() {
        Some("object") => Type::Record(Arc::new(record(schema))),
        Some("array") => Type::List(Arc::new(List { element: of(&schema["items"]), items: items(schema) })),
        Some("string") => Type::Scalar(Scalar::String),
        Some("boolean") => Type::Scalar(Scalar::Boolean),
        Some("integer" | "number") => Type::Scalar(Scalar::Number),
        _ => Type::Any,
    }
}

fn without_mark(schema: &Value) -> Value {
    let mut fields = schema.as_object().cloned().unwrap_or_default();
    fields.remove("x-kubernetes-embedded-resource");
    fields.insert("type".to_owned(), Value::from("object"));
    Value::Object(fields)
}

fn record(schema: &Value) -> Record {
    let fields: BTreeMap<_, _> = properties(schema)
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.clone(), Field::optional(of(schema))))
        .collect();
    let rest = match &schema["additionalProperties"] {
        Value::Object(_) => Some(of(&schema["additionalProperties"])),
        Value::Bool(true) => Some(Type::Any),
        _ if flag(schema, "x-kubernetes-preserve-unknown-fields") => Some(Type::Any),
        _ => None,
    };
    let atomic = schema["x-kubernetes-map-type"] == "atomic";
    Record { name: String::new(), fields, rest, atomic }
}

fn items(schema: &Value) -> Items {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Items::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            let default = |key: &str| schema["items"]["properties"][key].get("default").cloned();
            Items::Map(keys.filter_map(Value::as_str).map(|key| (key.to_owned(), default(key))).collect())
        }
        _ => Items::Atomic,
    }
}
