//! Error statuses and their causes, in the real server's words.

use serde_json::{Map, Value, json};

/// A cause of an invalid object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatusCause {
    /// The reason.
    pub(super) reason: &'static str,
    /// The message, with the value.
    pub(super) message: String,
    /// The path of the field.
    pub(super) field: String,
}

impl StatusCause {
    fn new(reason: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: field.into() }
    }

    /// Invalid value, shown as JSON.
    pub(super) fn invalid(field: impl Into<String>, value: &Value, why: impl AsRef<str>) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {}: {}", shown(value), why.as_ref()))
    }

    /// Invalid value, not shown.
    pub(super) fn invalid_unshown(field: impl Into<String>, why: impl AsRef<str>) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {}", why.as_ref()))
    }

    /// Value of a wrong type.
    pub(super) fn mistyped(field: impl Into<String>, found: &str, why: impl AsRef<str>) -> Self {
        Self::new("FieldValueTypeInvalid", field, format!("Invalid value: \"{found}\": {}", why.as_ref()))
    }

    /// Missing required field; `why` may be empty.
    pub(super) fn required(field: impl Into<String>, why: &str) -> Self {
        let colon = if why.is_empty() { "" } else { ": " };
        Self::new("FieldValueRequired", field, format!("Required value{colon}{why}"))
    }

    /// Duplicate value.
    pub(super) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    /// Value that is not one of the supported ones.
    pub(super) fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let listed = supported.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {value}: supported values: {listed}");
        Self::new("FieldValueNotSupported", field, message)
    }

    /// Forbidden field or value.
    pub(super) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    /// String of too many bytes.
    pub(super) fn too_long(field: impl Into<String>, most: usize) -> Self {
        let unit = if most == 1 { "byte" } else { "bytes" };
        Self::new("FieldValueTooLong", field, format!("Too long: may not be more than {most} {unit}"))
    }

    /// List of too many items.
    pub(super) fn too_many(field: impl Into<String>, count: usize, most: usize) -> Self {
        let unit = if most == 1 { "item" } else { "items" };
        let message = format!("Too many: {count}: must have at most {most} {unit}");
        Self::new("FieldValueTooMany", field, message)
    }

    /// Returns the cause below another field.
    pub(super) fn under(mut self, parent: &str) -> Self {
        let between = if self.field.starts_with('[') || self.field.is_empty() { "" } else { "." };
        self.field = format!("{parent}{between}{}", self.field);
        self
    }

    fn line(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

/// Formats a value as Go does.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.split_once('e') {
        Some((digits, power)) if value.is_f64() && !power.starts_with('-') => {
            format!("{digits}e+{}", power.trim_start_matches('+'))
        }
        _ => text,
    }
}

/// An error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatusError {
    /// The HTTP status.
    pub(super) code: u16,
    /// The reason; empty if the real server gives none.
    pub(super) reason: String,
    /// The message.
    pub(super) message: String,
    /// The object in question, and the causes.
    pub(super) details: Option<Value>,
}

impl StatusError {
    /// Malformed request.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest".into(), message: message.into(), details: None }
    }

    /// Internal error; the real server gives no reason with these.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { code: 500, reason: String::new(), message: message.into(), details: None }
    }

    /// Patch that cannot be applied to the object.
    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self { code: 422, reason: "Invalid".into(), message: message.into(), details: None }
    }

    /// Invalid object.
    pub(super) fn invalid(group: &str, kind: &str, name: &str, causes: &[StatusCause]) -> Self {
        let dot = if group.is_empty() { "" } else { "." };
        // The real server lists equal causes once in the message, but all of them in the details.
        let mut lines: Vec<String> = Vec::new();
        for line in causes.iter().map(StatusCause::line) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let lines = match lines.as_slice() {
            [line] => line.clone(),
            lines => format!("[{}]", lines.join(", ")),
        };
        let mut details = Map::new();
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), json!(value));
            }
        }
        let causes = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect::<Vec<_>>();
        details.insert("causes".to_owned(), json!(causes));
        let message = format!("{kind}{dot}{group} \"{name}\" is invalid: {lines}");
        Self { code: 422, reason: "Invalid".into(), message, details: Some(Value::Object(details)) }
    }

    /// Returns the `Status` object.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}
