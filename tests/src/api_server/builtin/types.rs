//! The table of types of the built-in kinds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::api_server::types::{Field, Items, List, Record, Scalar, Type};

const TABLE: &str = include_str!("types.txt");

/// The type of a name.
pub(in crate::api_server) fn named(name: &str) -> Option<&'static Type> {
    static TYPES: OnceLock<HashMap<&'static str, Type>> = OnceLock::new();
    TYPES.get_or_init(|| TABLE.lines().filter_map(line).collect()).get(name)
}

/// The type of a kind of a group.
pub(in crate::api_server) fn root(group: &str, kind: &str) -> Option<Type> {
    let short = match group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    let wanted = format!("{short}.{kind}");
    let (name, _) = TABLE.lines().filter_map(head).find(|(name, _)| *name == wanted)?;
    Some(Type::Named(name))
}

/// Name of the type of a line, and whether it is one value.
fn head(line: &'static str) -> Option<(&'static str, bool)> {
    let name = line.split_once(':')?.0;
    (!line.starts_with('#')).then(|| name.strip_suffix('!').map_or((name, false), |name| (name, true)))
}

fn line(text: &'static str) -> Option<(&'static str, Type)> {
    let (name, atomic) = head(text)?;
    let fields = text.split_once(':')?.1.split(';').filter_map(|field| entry(field.trim()));
    let go = name.rsplit('.').next().unwrap_or(name).to_owned();
    let record = Record { name: go, fields: fields.collect::<BTreeMap<_, _>>(), rest: None, atomic };
    Some((name, Type::Record(Arc::new(record))))
}

fn entry(text: &'static str) -> Option<(String, Field)> {
    let (name, of) = text.split_once(' ')?;
    let (name, required) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let (of, embedded) = of.strip_prefix('~').map_or((of, false), |of| (of, true));
    Some((name.to_owned(), Field { of: of_text(of), required, embedded }))
}

fn of_text(text: &'static str) -> Type {
    if let Some((items, element)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return Type::List(Arc::new(List { element: of_text(element), items: items_of(items) }));
    }
    if let Some((atomic, element)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        let record = Record { rest: Some(of_text(element)), atomic: !atomic.is_empty(), ..Record::default() };
        return Type::Record(Arc::new(record));
    }
    match text {
        "string" => Type::Scalar(Scalar::String),
        "bool" => Type::Scalar(Scalar::Boolean),
        "int32" => Type::Scalar(Scalar::Int32),
        "int64" => Type::Scalar(Scalar::Int64),
        "float64" => Type::Scalar(Scalar::Float),
        "intorstring" => Type::Scalar(Scalar::IntOrString),
        "quantity" => Type::Scalar(Scalar::Quantity),
        "time" => Type::Scalar(Scalar::Time),
        "microtime" => Type::Scalar(Scalar::MicroTime),
        "bytes" => Type::Scalar(Scalar::Bytes),
        "json" => Type::Any,
        name => Type::Named(name),
    }
}

fn items_of(text: &str) -> Items {
    match text {
        "" => Items::Atomic,
        "set" => Items::Set,
        keys => Items::Map(keys.split(',').map(key).collect()),
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

    /// Names of types that a type holds.
    fn held(of: &Type, found: &mut Vec<&'static str>) {
        match of {
            Type::Named(name) => found.push(name),
            Type::List(list) => held(&list.element, found),
            Type::Record(record) => {
                record
                    .fields
                    .values()
                    .map(|field| &field.of)
                    .chain(&record.rest)
                    .for_each(|of| held(of, found));
            }
            Type::Scalar(_) | Type::Any => {}
        }
    }

    #[test]
    fn every_type_that_the_table_names_is_in_it() {
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
