//! Structural schemas of CustomResourceDefinitions: what they prune, default and refuse.

mod format;
mod lists;
mod rules;
mod shape;
mod typing;
mod validate;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::refusal::Cause;
use super::types::Type;
use rules::Rules;

/// The schema of one version of a kind.
#[derive(Debug)]
pub(super) struct Schema {
    schema: Value,
    rules: Rules,
}

impl Schema {
    /// The schema of a version of a definition; everything is let through where it has none.
    pub(super) fn new(version: &Value) -> Self {
        let schema = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or(Value::Null);
        let rules = Rules::of(&schema);
        Self { schema, rules }
    }

    /// What apply is to know of the kind.
    pub(super) fn types(&self) -> Type {
        typing::object(&self.schema)
    }

    /// Takes away what the schema does not have; the paths, in order.
    pub(super) fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut gone = Vec::new();
        if self.schema.is_object() {
            shape::prune(&self.schema, object, "", true, &mut gone);
        }
        gone
    }

    /// Takes away nulls that the schema does not allow, unless a default replaces them.
    pub(super) fn drop_nulls(&self, object: &mut Value) {
        shape::drop_nulls(&self.schema, object);
    }

    /// Puts in defaults.
    pub(super) fn default(&self, object: &mut Value) {
        shape::default(&self.schema, object);
    }

    /// What is wrong with an object. What an update leaves as it was is not held against it.
    pub(super) fn mistakes(&self, object: &Value, old: Option<&Value>, status_only: bool) -> Vec<Cause> {
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

/// Whether rules cannot be asked any more.
fn blocks(cause: &Cause) -> bool {
    matches!(
        cause.reason,
        "FieldValueNotSupported"
            | "FieldValueRequired"
            | "FieldValueTooLong"
            | "FieldValueTooMany"
            | "FieldValueTypeInvalid"
    )
}

fn unchecked() -> Cause {
    Cause::invalid(
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

/// A path one field further.
fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The item of an old list that a new item takes the place of.
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

pub(in crate::api_server) use shape::unknown_metadata;
