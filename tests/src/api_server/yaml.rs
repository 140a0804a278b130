//! A YAML writer in the real server's style: sorted keys, unindented lists, folded long strings.

use serde_json::Value;

/// The column at which lines are folded.
const WIDTH: usize = 80;

pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => block(&mut text, value, 0),
        Value::Array(items) if !items.is_empty() => block(&mut text, value, 0),
        scalar => {
            text.push_str(&inline(scalar, 0, 0));
            text.push('\n');
        }
    }
    text
}

fn block(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) => {
            for (number, (key, value)) in fields.iter().enumerate() {
                // The first field of an item follows its dash.
                if number > 0 || !text.ends_with("- ") {
                    text.push_str(&" ".repeat(indent));
                }
                text.push_str(&inline(&Value::String(key.clone()), indent, 0));
                text.push(':');
                below(text, value, indent, key.len() + 1);
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&" ".repeat(indent));
                match item {
                    Value::Object(fields) if !fields.is_empty() => {
                        text.push_str("- ");
                        block(text, item, indent + 2);
                    }
                    scalar => {
                        text.push_str("- ");
                        text.push_str(&inline(scalar, indent, 2));
                        text.push('\n');
                    }
                }
            }
        }
        _ => {}
    }
}

/// Writes the value of a key.
fn below(text: &mut String, value: &Value, indent: usize, used: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(text, value, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(text, value, indent);
        }
        scalar => {
            text.push(' ');
            text.push_str(&inline(scalar, indent, used + 1));
            text.push('\n');
        }
    }
}

fn inline(value: &Value, indent: usize, used: usize) -> String {
    match value {
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        Value::String(text) => word(text, indent, used),
        other => other.to_string(),
    }
}

fn word(text: &str, indent: usize, used: usize) -> String {
    let looks_like_another = serde_saphyr::from_str::<Value>(text).is_ok_and(|value| !value.is_string());
    let is_time = text.parse::<jiff::Timestamp>().is_ok();
    if text.contains(['\n', '\t']) {
        return Value::String(text.to_owned()).to_string();
    }
    if text.is_empty() || is_time || (looks_like_another && !text.contains(": ")) {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    }
    let needs_quotes = text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c))
        || text.contains(": ")
        || text.contains(" #")
        || text.ends_with([':', ' ']);
    let text = if needs_quotes { format!("'{}'", text.replace('\'', "''")) } else { text.to_owned() };
    folded(&text, indent, used)
}

/// Breaks at the first space after the width.
fn folded(text: &str, indent: usize, used: usize) -> String {
    let mut column = indent + used;
    let mut lines = String::new();
    for (number, part) in text.split(' ').enumerate() {
        if number > 0 && column > WIDTH {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent + 2));
            column = indent + 2;
        } else if number > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(part);
        column += part.chars().count();
    }
    lines
}
