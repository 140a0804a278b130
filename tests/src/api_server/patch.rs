//! Patches other than apply: merge patches, JSON patches, strategic merge patches.

mod strategic;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::status_error::StatusError;

pub(super) use strategic::strategic;

/// Maximum number of operations of a JSON patch.
const MOST_OPERATIONS: usize = 10_000;

/// Merges a patch into an object: null removes a field.
pub(super) fn merge(object: &mut Value, patch: &Value) {
    json_patch::merge(object, patch);
}

/// Reads the body of a merge patch.
///
/// # Errors
/// When it is not JSON, or not an object.
pub(super) fn read_merge(body: &str) -> Result<Value, StatusError> {
    match serde_json::from_str(body) {
        Ok(patch @ Value::Object(_)) => Ok(patch),
        Ok(other) => Err(undecoded(&format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go_kind(&other)
        ))),
        Err(error) => Err(undecoded(&json_words(body, &error))),
    }
}

/// Applies a JSON patch to an object.
///
/// # Errors
/// When it is not a JSON patch, or an operation fails.
pub(super) fn json(object: &mut Value, body: &str) -> Result<(), StatusError> {
    let operations = match serde_json::from_str::<Value>(body) {
        Ok(Value::Array(operations)) => operations,
        Ok(other) => {
            let found = go_kind(&other);
            return Err(undecoded(&format!(
                "json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
            )));
        }
        Err(error) => return Err(undecoded(&json_words(body, &error))),
    };
    if operations.len() > MOST_OPERATIONS {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
            operations.len()
        );
        return Err(StatusError {
            code: 413,
            reason: "RequestEntityTooLarge".into(),
            message,
            details: None,
        });
    }
    let mut patched = object.clone();
    for operation in operations {
        let operation = lenient(&patched, operation);
        let patch = serde_json::from_value::<json_patch::Patch>(json!([operation])).map_err(|_| undone())?;
        json_patch::patch(&mut patched, &patch).map_err(|_| undone())?;
    }
    *object = patched;
    Ok(())
}

/// Turns a replace of a missing field into an add, as the real server does.
fn lenient(object: &Value, mut operation: Value) -> Value {
    let path = operation["path"].as_str().unwrap_or_default();
    let holder = path.rsplit_once('/').map_or("", |(holder, _)| holder);
    let in_map = object.pointer(holder).is_some_and(Value::is_object);
    if operation["op"] == "replace" && in_map && object.pointer(path).is_none() {
        operation["op"] = json!("add");
    }
    operation
}

fn undone() -> StatusError {
    let message = "the server rejected our request due to an error in our request";
    StatusError { details: Some(Value::Object(Map::new())), ..StatusError::unprocessable(message) }
}

fn undecoded(words: &str) -> StatusError {
    StatusError::bad_request(format!("error decoding patch: {words}"))
}

/// Returns a JSON error in Go's words, if known.
fn json_words(body: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let letter = body
        .lines()
        .nth(error.line().saturating_sub(1))
        .and_then(|line| line.chars().nth(error.column().saturating_sub(1)));
    letter.map_or_else(
        || error.to_string(),
        |letter| format!("invalid character '{letter}' looking for beginning of value"),
    )
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
