//! Structural schemas of CustomResourceDefinitions: pruning, defaulting and validation.

mod format;
mod lists;
mod pruning;
mod rules;
mod typing;
mod validate;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::status_error::StatusCause;
use super::types::ValueType;
use rules::Rules;

/// The schema of one version of a kind.
#[derive(Debug)]
pub(super) struct Schema {
    schema: Value,
    rules: Rules,
}

impl Schema {
    /// Creates the schema of a version of a definition; without one, everything is accepted.
    pub(super) fn new(version: &Value) -> Self {
        let schema = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or(Value::Null);
        let rules = Rules::of(&schema);
        Self { schema, rules }
    }

    /// Returns the types for apply.
    pub(super) fn types(&self) -> ValueType {
        typing::object(&self.schema)
    }

    /// Removes unknown fields; returns their paths, in order.
    pub(super) fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut gone = Vec::new();
        if self.schema.is_object() {
            pruning::prune(&self.schema, object, "", true, &mut gone);
        }
        gone
    }

    /// Removes nulls that the schema does not allow, unless a default replaces them.
    pub(super) fn drop_nulls(&self, object: &mut Value) {
        pruning::drop_nulls(&self.schema, object);
    }

    /// Sets defaults.
    pub(super) fn default(&self, object: &mut Value) {
        pruning::default(&self.schema, object);
    }

    /// Validates an object. Values that an update leaves unchanged are not validated.
    pub(super) fn violations(
        &self,
        object: &Value,
        old: Option<&Value>,
        status_only: bool,
    ) -> Vec<StatusCause> {
        let (schema, part, old_part, root) = if status_only {
            let Some(status) = object.get("status") else { return Vec::new() };
            let old = old.and_then(|old| old.get("status")).unwrap_or(&Value::Null);
            (&self.schema["properties"]["status"], status, Some(old), "status")
        } else {
            (&self.schema, object, old, "")
        };
        let mut causes = Vec::new();
        validate::check(schema, part, old_part, "", &mut causes);
        lists::check(schema, part, old_part, "", &mut causes);
        if self.rules.any() {
            if causes.iter().any(blocks) {
                causes.push(unchecked());
            } else {
                self.rules.check(schema, part, old_part, "", &mut causes);
            }
        }
        causes
            .into_iter()
            .map(|cause| if root.is_empty() || cause.field == "<nil>" { cause } else { cause.under(root) })
            .collect()
    }
}

/// Returns whether a cause prevents the evaluation of rules.
fn blocks(cause: &StatusCause) -> bool {
    matches!(
        cause.reason,
        "FieldValueNotSupported"
            | "FieldValueRequired"
            | "FieldValueTooLong"
            | "FieldValueTooMany"
            | "FieldValueTypeInvalid"
    )
}

fn unchecked() -> StatusCause {
    StatusCause::invalid(
        "<nil>",
        &Value::Null,
        "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
    )
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

/// Returns the path of a field.
fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Returns the item of an old list that corresponds to a new item.
fn old_item<'a>(schema: &Value, old: Option<&'a Value>, item: &Value) -> Option<&'a Value> {
    let items = old?.as_array()?;
    if schema["x-kubernetes-list-type"] != "map" {
        return None;
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array()?;
    let same =
        |other: &&Value| keys.iter().filter_map(Value::as_str).all(|key| other.get(key) == item.get(key));
    items.iter().find(same)
}

pub(in crate::api_server) use pruning::unknown_metadata;
