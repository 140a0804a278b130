//! CEL rules (`x-kubernetes-validations`).

use std::collections::HashMap;
use std::fmt;

use cel::{Context, ExecutionError, Program, Value as Cel};
use serde_json::{Value, json};

use super::{child, flag, old_item, properties};
use crate::api_server::status_error::StatusCause;

/// The rules of a schema, compiled.
pub(super) struct Rules {
    programs: HashMap<String, Program>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.programs.keys()).finish()
    }
}

impl Rules {
    /// Compiles the rules of a schema, including nested ones.
    pub(super) fn of(schema: &Value) -> Self {
        let mut programs = HashMap::new();
        collect(schema, &mut programs);
        Self { programs }
    }

    /// Returns whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.programs.is_empty()
    }

    /// Reports rules that do not hold. Transition rules are evaluated only if there is an old value; the
    /// others only if the value has changed.
    pub(super) fn check(
        &self,
        schema: &Value,
        value: &Value,
        old: Option<&Value>,
        path: &str,
        causes: &mut Vec<StatusCause>,
    ) {
        let old = old.filter(|old| !old.is_null());
        if value.is_null() && flag(schema, "nullable") {
            return;
        }
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            causes.extend(self.broken(rule, value, old, path));
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let of = properties(schema).and_then(|properties| properties.get(name));
                    let of = of.unwrap_or(&schema["additionalProperties"]);
                    let old = old.and_then(|old| old.get(name));
                    self.check(of, value, old, &child(path, name), causes);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    let old = old_item(schema, old, item);
                    self.check(&schema["items"], item, old, &format!("{path}[{place}]"), causes);
                }
            }
            _ => {}
        }
    }

    fn broken(&self, rule: &Value, value: &Value, old: Option<&Value>, path: &str) -> Option<StatusCause> {
        let text = rule["rule"].as_str()?;
        let program = self.programs.get(text)?;
        let about_change = program.references().has_variable("oldSelf");
        if about_change && old.is_none() || !about_change && old == Some(value) {
            return None;
        }
        let words = rule["message"].as_str().map_or_else(|| format!("failed rule: {text}"), str::to_owned);
        let place = if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() };
        match evaluate(program, value, old) {
            Ok(true) => None,
            Ok(false) if value.is_object() || value.is_array() => {
                Some(reasoned(rule, StatusCause::invalid_unshown(place, words)))
            }
            Ok(false) => Some(reasoned(rule, StatusCause::invalid(place, value, words))),
            Err(error) => {
                let kind = match value {
                    Value::String(_) => "string",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "integer",
                    Value::Array(_) => "array",
                    _ => "object",
                };
                let asked = rule["message"].as_str().unwrap_or(text);
                Some(StatusCause::invalid(place, &json!(kind), format!("{error} evaluating rule: {asked}")))
            }
        }
    }
}

/// Returns the cause with the reason of its rule.
fn reasoned(rule: &Value, cause: StatusCause) -> StatusCause {
    let reason = match rule["reason"].as_str() {
        Some("FieldValueForbidden") => "FieldValueForbidden",
        Some("FieldValueRequired") => "FieldValueRequired",
        Some("FieldValueDuplicate") => "FieldValueDuplicate",
        _ => return cause,
    };
    StatusCause { reason, ..cause }
}

fn collect(schema: &Value, programs: &mut HashMap<String, Program>) {
    match schema {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
            {
                let Some(text) = rule["rule"].as_str() else { continue };
                if let Ok(program) = Program::compile(text) {
                    programs.insert(text.to_owned(), program);
                }
            }
            fields.values().for_each(|schema| collect(schema, programs));
        }
        Value::Array(schemas) => schemas.iter().for_each(|schema| collect(schema, programs)),
        _ => {}
    }
}

fn evaluate(program: &Program, value: &Value, old: Option<&Value>) -> Result<bool, String> {
    let mut context = Context::default();
    context.add_variable_from_value("self", cel(value));
    if let Some(old) = old {
        context.add_variable_from_value("oldSelf", cel(old));
    }
    match program.execute(&context) {
        Ok(Cel::Bool(holds)) => Ok(holds),
        Ok(_) => Err("the rule gives no bool".to_owned()),
        Err(error) => Err(in_words(&error)),
    }
}

fn in_words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::FunctionError { function, .. } if function == "duration" => {
            "type conversion error from 'string' to 'google.protobuf.Duration'".to_owned()
        }
        ExecutionError::FunctionError { function, .. } if function == "timestamp" => {
            "type conversion error from 'string' to 'google.protobuf.Timestamp'".to_owned()
        }
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        error => error.to_string(),
    }
}

/// Converts a JSON value to CEL, in which integers are signed.
fn cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Cel::Int(number),
            (None, number) => Cel::Float(number.unwrap_or_default()),
        },
        Value::String(text) => text.clone().into(),
        Value::Array(items) => items.iter().map(cel).collect::<Vec<_>>().into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), cel(value)))
            .collect::<HashMap<String, Cel>>()
            .into(),
    }
}
