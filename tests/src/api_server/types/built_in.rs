//! The types of the built-in kinds, parsed from a table.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::{FieldType, ListItems, ListType, RecordType, ScalarType, ValueType};

const TABLE: &str = include_str!("built_in.txt");

/// Returns the type of a name.
pub(in crate::api_server) fn named(name: &str) -> Option<&'static ValueType> {
    static TYPES: OnceLock<HashMap<&'static str, ValueType>> = OnceLock::new();
    TYPES.get_or_init(|| TABLE.lines().filter_map(line).collect()).get(name)
}

/// Returns the type of a kind of a group.
pub(in crate::api_server) fn root(group: &str, kind: &str) -> Option<ValueType> {
    let short = match group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    let expected = format!("{short}.{kind}");
    let (name, _) = TABLE.lines().filter_map(head).find(|(name, _)| *name == expected)?;
    Some(ValueType::Named(name))
}

/// Returns the type of a kind whose name is unique among groups.
pub(in crate::api_server) fn of_kind(kind: &str) -> Option<ValueType> {
    let mut names = TABLE.lines().filter_map(head).map(|(name, _)| name);
    names.find(|name| name.split_once('.').is_some_and(|(_, name)| name == kind)).map(ValueType::Named)
}

/// Parses the name of a line's type, and whether it is atomic.
fn head(line: &'static str) -> Option<(&'static str, bool)> {
    let name = line.split_once(':')?.0;
    (!line.starts_with('#')).then(|| name.strip_suffix('!').map_or((name, false), |name| (name, true)))
}

fn line(text: &'static str) -> Option<(&'static str, ValueType)> {
    let (name, atomic) = head(text)?;
    let fields = text.split_once(':')?.1.split(';').filter_map(|field| entry(field.trim()));
    let go = name.rsplit('.').next().unwrap_or(name).to_owned();
    let record = RecordType { name: go, fields: fields.collect::<BTreeMap<_, _>>(), rest: None, atomic };
    Some((name, ValueType::Record(Arc::new(record))))
}

fn entry(text: &'static str) -> Option<(String, FieldType)> {
    let (name, of) = text.split_once(' ')?;
    let (name, required) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let (of, embedded) = of.strip_prefix('~').map_or((of, false), |of| (of, true));
    Some((name.to_owned(), FieldType { of: of_text(of), required, embedded }))
}

fn of_text(text: &'static str) -> ValueType {
    if let Some((items, element)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return ValueType::List(Arc::new(ListType { element: of_text(element), items: items_of(items) }));
    }
    if let Some((atomic, element)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        let record =
            RecordType { rest: Some(of_text(element)), atomic: !atomic.is_empty(), ..RecordType::default() };
        return ValueType::Record(Arc::new(record));
    }
    match text {
        "string" => ValueType::Scalar(ScalarType::String),
        "bool" => ValueType::Scalar(ScalarType::Boolean),
        "int32" => ValueType::Scalar(ScalarType::Int32),
        "int64" => ValueType::Scalar(ScalarType::Int64),
        "float64" => ValueType::Scalar(ScalarType::Float),
        "intorstring" => ValueType::Scalar(ScalarType::IntOrString),
        "quantity" => ValueType::Scalar(ScalarType::Quantity),
        "time" => ValueType::Scalar(ScalarType::Time),
        "microtime" => ValueType::Scalar(ScalarType::MicroTime),
        "bytes" => ValueType::Scalar(ScalarType::Bytes),
        "json" => ValueType::Any,
        name => ValueType::Named(name),
    }
}

fn items_of(text: &str) -> ListItems {
    match text {
        "" => ListItems::Atomic,
        "set" => ListItems::Set,
        keys => ListItems::Map(keys.split(',').map(key).collect()),
    }
}

fn key(text: &str) -> (String, Option<Value>) {
    match text.split_once('=') {
        Some((name, default)) => (name.to_owned(), Some(Value::from(default))),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects the names of types that a type contains.
    fn held(of: &ValueType, found: &mut Vec<&'static str>) {
        match of {
            ValueType::Named(name) => found.push(name),
            ValueType::List(list) => held(&list.element, found),
            ValueType::Record(record) => {
                record
                    .fields
                    .values()
                    .map(|field| &field.of)
                    .chain(&record.rest)
                    .for_each(|of| held(of, found));
            }
            ValueType::Scalar(_) | ValueType::Any => {}
        }
    }

    #[test]
    fn every_type_named_in_the_table_is_defined() {
        let mut found = Vec::new();
        for (_, of) in TABLE.lines().filter_map(line) {
            held(&of, &mut found);
        }
        assert!(found.len() > 100);
        for name in found {
            assert!(named(name).is_some(), "{name}");
        }
    }
}
