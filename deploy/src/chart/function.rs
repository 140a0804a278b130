//! The functions that the chart uses, as Helm has them.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::output;

/// Calls a function; `include` is the renderer's own.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value> {
    match (name, arguments) {
        ("default", [default, value]) => Ok(if is_true(value) { value.clone() } else { default.clone() }),
        ("quote", [value]) => Ok(Value::String(text(value)?).to_string().into()),
        ("toYaml", [value]) => Ok(output::yaml(value)?.trim_end().into()),
        ("indent", [count, value]) => Ok(indented(count, value)?.into()),
        ("nindent", [count, value]) => Ok(format!("\n{}", indented(count, value)?).into()),
        ("eq", [one, other]) => Ok((one == other).into()),
        ("not", [value]) => Ok((!is_true(value)).into()),
        ("and", values @ [_, ..]) => Ok(values.iter().all(is_true).into()),
        ("or", values @ [_, ..]) => Ok(values.iter().any(is_true).into()),
        (name, arguments) => bail!("no function {name} of {} arguments is known here", arguments.len()),
    }
}

/// What counts as true: all but what is empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(it) => *it,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// A value as it is printed.
pub(super) fn text(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(it) => Ok(it.to_string()),
        Value::Number(number) => {
            // Helm has numbers as floating-point ones, and prints large ones with an exponent.
            let small = number.as_i64().filter(|number| number.abs() < 1_000_000);
            Ok(small.with_context(|| format!("{number} would not be printed as it is written"))?.to_string())
        }
        Value::Null => bail!("nothing is there to be printed"),
        Value::Array(_) | Value::Object(_) => bail!("{value} cannot be printed without toYaml"),
    }
}

fn indented(count: &Value, value: &Value) -> Result<String> {
    let count = count.as_u64().and_then(|count| usize::try_from(count).ok()).context("how far to indent")?;
    ensure!(count < 100, "indented by {count}");
    let space = " ".repeat(count);
    let lines: Vec<String> = text(value)?.lines().map(|line| format!("{space}{line}")).collect();
    Ok(lines.join("\n"))
}
