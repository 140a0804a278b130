//! Why a request is refused, as the real server tells it.

use serde_json::{Map, Value, json};

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// Of the kind of mistake.
    pub(super) reason: &'static str,
    /// In words, with the value.
    pub(super) message: String,
    /// Path of the field.
    pub(super) field: String,
}

impl Cause {
    fn new(reason: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: field.into() }
    }

    /// A value that cannot be; it is shown as JSON.
    pub(super) fn invalid(field: impl Into<String>, value: &Value, why: impl AsRef<str>) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {value}: {}", why.as_ref()))
    }

    /// A value that cannot be, which is not shown.
    pub(super) fn invalid_unshown(field: impl Into<String>, why: impl AsRef<str>) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {}", why.as_ref()))
    }

    /// A value of a wrong type.
    pub(super) fn mistyped(field: impl Into<String>, found: &str, why: impl AsRef<str>) -> Self {
        Self::new("FieldValueTypeInvalid", field, format!("Invalid value: \"{found}\": {}", why.as_ref()))
    }

    /// A field that must be there; `why` may be empty.
    pub(super) fn required(field: impl Into<String>, why: &str) -> Self {
        let colon = if why.is_empty() { "" } else { ": " };
        Self::new("FieldValueRequired", field, format!("Required value{colon}{why}"))
    }

    /// A value that is there already.
    pub(super) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    /// A value that is none of those that there are.
    pub(super) fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let listed = supported.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {value}: supported values: {listed}");
        Self::new("FieldValueNotSupported", field, message)
    }

    /// A field that must not be set, or not so.
    pub(super) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    /// A text of too many bytes.
    pub(super) fn too_long(field: impl Into<String>, most: usize) -> Self {
        let unit = if most == 1 { "byte" } else { "bytes" };
        Self::new("FieldValueTooLong", field, format!("Too long: may not be more than {most} {unit}"))
    }

    /// A list of too many items.
    pub(super) fn too_many(field: impl Into<String>, count: usize, most: usize) -> Self {
        let unit = if most == 1 { "item" } else { "items" };
        let message = format!("Too many: {count}: must have at most {most} {unit}");
        Self::new("FieldValueTooMany", field, message)
    }

    /// The same cause below another field.
    pub(super) fn under(mut self, parent: &str) -> Self {
        let between = if self.field.starts_with('[') || self.field.is_empty() { "" } else { "." };
        self.field = format!("{parent}{between}{}", self.field);
        self
    }

    fn line(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status of the answer.
    pub(super) code: u16,
    /// In one word; empty where the real server gives none.
    pub(super) reason: String,
    /// In words.
    pub(super) message: String,
    /// The object that it is about, and the causes.
    pub(super) details: Option<Value>,
}

impl Refusal {
    /// The request makes no sense.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest".into(), message: message.into(), details: None }
    }

    /// The server cannot do it; the real one gives no reason with these.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { code: 500, reason: String::new(), message: message.into(), details: None }
    }

    /// The patch cannot be done on the object.
    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self { code: 422, reason: "Invalid".into(), message: message.into(), details: None }
    }

    /// The object is not as its kind wants it.
    pub(super) fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let dot = if group.is_empty() { "" } else { "." };
        // The real server says the same thing once in words, and as often as it comes in the causes.
        let mut lines: Vec<String> = Vec::new();
        for line in causes.iter().map(Cause::line) {
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

    /// The `Status` that tells it.
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
