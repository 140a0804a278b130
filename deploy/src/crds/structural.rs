//! Structural schemas, which Kubernetes requires.

use serde_json::{Map, Value};

/// Marks a default that the server writes into an object. (`default` itself is this program's value for a
/// missing field, which no object has to state.)
const STORED_DEFAULT: &str = "x-default";

/// Keywords of JSON Schema without a meaning for a server.
const IGNORED: [&str; 4] = ["$schema", "title", "default", "nullable"];

/// Makes a schema structural.
pub(super) fn of(schema: schemars::Schema) -> Value {
    let mut value = schema.to_value();
    rewrite(&mut value);
    value
}

fn rewrite(value: &mut Value) {
    let Value::Object(schema) = value else { return };
    for word in IGNORED {
        schema.remove(word);
    }
    if let Some(default) = schema.remove(STORED_DEFAULT) {
        schema.insert("default".to_owned(), default);
    }
    remove_null(schema);
    join_variants(schema);
    limit_number(schema);
    for word in ["items", "additionalProperties"] {
        schema.get_mut(word).into_iter().for_each(rewrite);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(rewrite);
    }
}

/// Removes `null`: a server itself reads it as no value where there is a default, and refuses it elsewhere.
fn remove_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get("type")
        && let Some(only) = types.iter().find(|it| *it != "null").cloned()
    {
        schema.insert("type".to_owned(), only);
    }
    // `Option` of an object or an enumeration.
    if let Some(Value::Array(variants)) = schema.remove("anyOf") {
        for variant in variants.into_iter().filter(|variant| variant["type"] != "null") {
            merge(schema, variant);
        }
    }
}

/// Joins the variants of an enumeration into a list of values, without their descriptions.
fn join_variants(schema: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = schema.remove("oneOf") else { return };
    let values: Vec<Value> = variants.iter().filter_map(|variant| variant.get("const").cloned()).collect();
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), values.into());
}

/// Adds the keywords of a field's type; those of the field itself take precedence.
fn merge(schema: &mut Map<String, Value>, other: Value) {
    let Value::Object(other) = other else { return };
    for (word, value) in other {
        schema.entry(word).or_insert(value);
    }
}

/// Sets the format of a number: Kubernetes has two for integers, both signed.
fn limit_number(schema: &mut Map<String, Value>) {
    let format = match schema.get("format").and_then(Value::as_str) {
        Some("uint8" | "uint16" | "int32") => "int32",
        Some("uint32") => {
            schema.entry("maximum").or_insert(u32::MAX.into());
            "int64"
        }
        Some("uint64" | "int64") => "int64",
        _ => return,
    };
    schema.insert("format".to_owned(), format.into());
}

/// Returns where a schema violates the rules of structural schemas, by path.
///
/// Kubernetes: every part has a type; nothing refers to a definition elsewhere; `additionalProperties` and
/// `properties` exclude each other; in `allOf`, `anyOf`, `oneOf` and `not` stand neither types nor defaults.
/// Schemas generated here have no such unions at all, which is stricter and simpler.
pub fn violations(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, "", &mut found);
    found
}

/// Keywords that a part may have.
const WORDS: [&str; 19] = [
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];
const RULES: &str = "x-kubernetes-validations";
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

fn look(schema: &Value, path: &str, found: &mut Vec<String>) {
    let Value::Object(words) = schema else {
        found.push(format!("{path}: is no schema"));
        return;
    };
    let others = words.keys().filter(|word| !WORDS.contains(&word.as_str()) && *word != RULES);
    found.extend(others.map(|word| format!("{path}: {word} has no place here")));
    let kind = words.get("type").and_then(Value::as_str).unwrap_or_default();
    if !TYPES.contains(&kind) {
        found.push(format!("{path}: has no type"));
    }
    if words.contains_key("properties") && words.contains_key("additionalProperties") {
        found.push(format!("{path}: properties beside additionalProperties"));
    }
    if (kind == "array") != words.contains_key("items") {
        found.push(format!("{path}: items and type array go together"));
    }
    if words.contains_key(RULES) && !is_list_of_rules(&words[RULES]) {
        found.push(format!("{path}: a rule has a rule and a message"));
    }
    for (name, part) in schema["properties"].as_object().into_iter().flatten() {
        look(part, &format!("{path}.{name}"), found);
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if required.as_str().is_none_or(|name| schema["properties"].get(name).is_none()) {
            found.push(format!("{path}: requires {required}, which it does not have"));
        }
    }
    for (word, step) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(part) = words.get(word) {
            look(part, &format!("{path}{step}"), found);
        }
    }
}

fn is_list_of_rules(rules: &Value) -> bool {
    rules
        .as_array()
        .is_some_and(|rules| rules.iter().all(|rule| rule["rule"].is_string() && rule["message"].is_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_breaks_the_rules_is_found_by_its_path() {
        let right =
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}});
        assert_eq!(violations(&right), [""; 0]);
        for (broken, words) in [
            (json!({"properties": {}}), "no type"),
            (json!({"type": ["string", "null"]}), "no type"),
            (json!({"$ref": "#/x", "type": "object"}), "$ref"),
            (json!({"anyOf": [{"type": "string"}], "type": "string"}), "anyOf"),
            (json!({"type": "array"}), "items"),
            (
                json!({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}),
                "beside",
            ),
            (
                json!({"type": "object", "required": ["b"], "properties": {"a": {"type": "string"}}}),
                "requires",
            ),
            (json!({"type": "string", "x-kubernetes-validations": [{"rule": "true"}]}), "a message"),
        ] {
            let schema =
                json!({"type": "object", "properties": {"spec": {"type": "array", "items": broken}}});
            let found = violations(&schema);
            assert_eq!(found.len(), 1, "{schema}: {found:?}");
            assert!(found[0].starts_with(".spec[]: ") && found[0].contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_default_that_only_the_reader_has_is_not_stored() {
        let mut schema = json!({"type": ["boolean", "null"], "default": false, "x-default": true});
        rewrite(&mut schema);
        assert_eq!(schema, json!({"type": "boolean", "default": true}));
    }

    #[test]
    fn an_optional_part_is_the_part() {
        let mut schema = json!({
            "description": "The field.",
            "anyOf": [{"type": "object", "description": "The type.", "properties": {}}, {"type": "null"}],
        });
        rewrite(&mut schema);
        assert_eq!(schema, json!({"type": "object", "description": "The field.", "properties": {}}));
    }

    #[test]
    fn an_enumeration_is_its_values() {
        let mut schema = json!({"oneOf": [
            {"type": "string", "description": "One.", "const": "A"}, {"type": "string", "const": "B"},
        ]});
        rewrite(&mut schema);
        assert_eq!(schema, json!({"type": "string", "enum": ["A", "B"]}));
    }
}
