//! Validation of values against a schema, in the real server's words.

use serde_json::{Map, Value, json};

use super::format::is_of_format;
use super::{child, flag, old_item, properties};
use crate::api_server::status_error::StatusCause;

/// Reports violations of a value. Unchanged values are skipped.
pub(super) fn check(
    schema: &Value,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<StatusCause>,
) {
    if !schema.is_object() || old == Some(value) {
        return;
    }
    let place = if path.is_empty() { "<nil>" } else { path };
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if let Some(cause) = mistyped(schema, value, place) {
        causes.extend(cause);
        // A fraction is still a number, whose bounds are checked.
        if !(schema["type"] == "integer" && value.is_f64()) {
            return;
        }
    }
    if let Some(cause) = none_of(schema, value, place) {
        causes.push(cause);
    }
    match value {
        Value::String(text) => check_text(schema, text, place, causes),
        Value::Number(_) => check_number(schema, value, place, causes),
        Value::Array(items) => {
            check_count(schema, items.len(), place, causes);
            for (place, item) in items.iter().enumerate() {
                let old = old_item(schema, old, item);
                check(&schema["items"], item, old, &format!("{path}[{place}]"), causes);
            }
        }
        Value::Object(fields) => check_fields(schema, fields, old, path, causes),
        _ => {}
    }
    check_branches(schema, value, place, causes);
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn mistyped(schema: &Value, value: &Value, place: &str) -> Option<Vec<StatusCause>> {
    if flag(schema, "x-kubernetes-int-or-string") {
        if value.is_string() || value.is_i64() || value.is_u64() {
            return None;
        }
        let found = type_name(value);
        let why = format!("{place} in body must be of type integer,string: \"{found}\"");
        return Some(vec![StatusCause::mistyped(place, found, why)]);
    }
    let wanted = schema["type"].as_str()?;
    let found = type_name(value);
    if wanted == found || (wanted, found) == ("number", "integer") {
        return None;
    }
    if wanted == "integer" && found == "number" {
        let format = schema["format"].as_str().unwrap_or("int64");
        let why = format!("{place} in body must be of type {format}: \"float64\"");
        let checked = format!("Checked value must be of type integer with format {format} in {place}");
        return Some(vec![
            StatusCause::mistyped(place, "float64", why),
            StatusCause::invalid("<nil>", &json!(""), checked),
        ]);
    }
    let why = format!("{place} in body must be of type {wanted}: \"{found}\"");
    Some(vec![StatusCause::mistyped(place, found, why)])
}

fn none_of(schema: &Value, value: &Value, place: &str) -> Option<StatusCause> {
    let allowed = schema["enum"].as_array()?;
    if allowed.contains(value) {
        return None;
    }
    let names: Vec<String> =
        allowed.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Some(StatusCause::not_supported(place, value, &names))
}

/// Reports only the first violation of a string, and additionally that of its format.
fn check_text(schema: &Value, text: &str, place: &str, causes: &mut Vec<StatusCause>) {
    let length = text.chars().count() as u64;
    let value = json!(text);
    let fits = |pattern: &str| regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        causes.push(StatusCause::too_long(place, usize::try_from(most).unwrap_or(usize::MAX)));
    } else if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        let why = format!("{place} in body should be at least {least} chars long");
        causes.push(StatusCause::invalid(place, &value, why));
    } else if let Some(pattern) = schema["pattern"].as_str().filter(|pattern| !fits(pattern)) {
        causes.push(StatusCause::invalid(place, &value, format!("{place} in body should match '{pattern}'")));
    }
    if let Some(format) = schema["format"].as_str().filter(|format| !is_of_format(format, text)) {
        let why = format!("{place} in body must be of type {format}: {value}");
        causes.push(StatusCause::mistyped(place, text, why));
    }
}

fn check_number(schema: &Value, value: &Value, place: &str, causes: &mut Vec<StatusCause>) {
    let Some(number) = value.as_f64() else { return };
    let mut refuse = |words: &str, bound: &Value| {
        let why = format!("{place} in body should be {words} {bound}");
        causes.push(StatusCause::invalid(place, value, why));
    };
    if let Some(most) = schema["maximum"].as_f64() {
        let exclusive = flag(schema, "exclusiveMaximum");
        if number > most || (exclusive && number >= most) {
            let words = if exclusive { "less than" } else { "less than or equal to" };
            refuse(words, &schema["maximum"]);
        }
    }
    if let Some(least) = schema["minimum"].as_f64() {
        let exclusive = flag(schema, "exclusiveMinimum");
        if number < least || (exclusive && number <= least) {
            let words = if exclusive { "greater than" } else { "greater than or equal to" };
            refuse(words, &schema["minimum"]);
        }
    }
    if let Some(step) =
        schema["multipleOf"].as_f64().filter(|step| *step > 0.0 && (number / step).fract() != 0.0)
    {
        refuse("a multiple of", &json!(step));
    }
}

fn check_count(schema: &Value, count: usize, place: &str, causes: &mut Vec<StatusCause>) {
    let bound = |name: &str| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
    if let Some(most) = bound("maxItems").filter(|most| count > *most) {
        causes.push(StatusCause::too_many(place, count, most));
    }
    if let Some(least) = bound("minItems").filter(|least| count < *least) {
        let why = format!("{place} in body should have at least {least} items");
        causes.push(StatusCause::invalid(place, &json!(count), why));
    }
}

fn check_fields(
    schema: &Value,
    fields: &Map<String, Value>,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<StatusCause>,
) {
    let place = if path.is_empty() { "<nil>" } else { path };
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| fields.len() as u64 > *most) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        causes.push(StatusCause::too_many(place, fields.len(), most));
    }
    if let Some(least) = schema["minProperties"].as_u64().filter(|least| (fields.len() as u64) < *least) {
        let why = format!("{place} in body should have at least {least} properties");
        causes.push(StatusCause::invalid(place, &json!(fields.len()), why));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            causes.push(StatusCause::required(child(path, name), ""));
        }
    }
    for (name, value) in fields {
        let of = properties(schema).and_then(|properties| properties.get(name));
        let of = of.unwrap_or(&schema["additionalProperties"]);
        // The fields of every object are validated elsewhere.
        if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        check(of, value, old.and_then(|old| old.get(name)), &child(path, name), causes);
    }
}

fn check_branches(schema: &Value, value: &Value, place: &str, causes: &mut Vec<StatusCause>) {
    let fits = |schema: &Value| {
        let mut found = Vec::new();
        check(schema, value, None, "", &mut found);
        found.is_empty()
    };
    let branches =
        |name: &str| schema[name].as_array().filter(|_| !flag(schema, "x-kubernetes-int-or-string"));
    let mut refuse = |words: &str| {
        let why = format!("\"{place}\" must validate {words}");
        causes.push(StatusCause::invalid(place, value, why));
    };
    if branches("allOf").is_some_and(|all| !all.iter().all(fits)) {
        refuse("all the schemas (allOf)");
    }
    if branches("anyOf").is_some_and(|any| !any.iter().any(fits)) {
        refuse("at least one schema (anyOf)");
    }
    if branches("oneOf").is_some_and(|one| one.iter().filter(|one| fits(one)).count() != 1) {
        refuse("one and only one schema (oneOf)");
    }
    if schema["not"].is_object() && fits(&schema["not"]) {
        refuse("not to match the schema (not)");
    }
}
