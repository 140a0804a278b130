//! The types of a kind's fields, for apply, strategic patches, and reading bodies.

mod built_in;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub(super) use built_in::{named, of_kind, root};

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ValueType {
    /// A scalar.
    Scalar(ScalarType),
    /// A list.
    List(Arc<ListType>),
    /// A map, or an object with fields.
    Record(Arc<RecordType>),
    /// A named type of the built-in kinds, which may be recursive.
    Named(&'static str),
    /// Any type, deduced from the value.
    Any,
}

/// The type of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarType {
    String,
    Boolean,
    Int32,
    Int64,
    Float,
    /// A number of a CustomResourceDefinition.
    Number,
    IntOrString,
    Quantity,
    Time,
    MicroTime,
    /// Base64.
    Bytes,
}

/// The type of a list.
#[derive(Debug, PartialEq)]
pub(super) struct ListType {
    /// The type of its items.
    pub(super) element: ValueType,
    /// How items are identified.
    pub(super) items: ListItems,
}

/// How items of a list are identified.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ListItems {
    /// They are not: the list is atomic.
    Atomic,
    /// By their value.
    Set,
    /// By these fields, which may have defaults.
    Map(Vec<(String, Option<Value>)>),
}

/// The type of a map or an object with fields.
#[derive(Debug, Default, PartialEq)]
pub(super) struct RecordType {
    /// Its name in Go, as in errors; empty for a CustomResourceDefinition.
    pub(super) name: String,
    /// Known fields.
    pub(super) fields: BTreeMap<String, FieldType>,
    /// The type of other fields, if they are allowed.
    pub(super) rest: Option<ValueType>,
    /// Whether it is atomic.
    pub(super) atomic: bool,
}

/// A field.
#[derive(Debug, PartialEq)]
pub(super) struct FieldType {
    /// Its type.
    pub(super) of: ValueType,
    /// Whether it is written even if empty.
    pub(super) required: bool,
    /// Whether it is an embedded struct, which always exists.
    pub(super) embedded: bool,
}

impl FieldType {
    /// Creates an optional field.
    pub(super) fn optional(of: ValueType) -> Self {
        Self { of, required: false, embedded: false }
    }
}

impl RecordType {
    /// Returns the type of a field.
    pub(super) fn field(&self, name: &str) -> Option<&ValueType> {
        self.fields.get(name).map(|field| &field.of).or(self.rest.as_ref())
    }
}

/// The resolved type of a value.
#[derive(Clone, Debug)]
pub(super) enum ResolvedType {
    Scalar(Option<ScalarType>),
    List(Arc<ListType>),
    Record(Arc<RecordType>),
}

impl ValueType {
    /// Resolves the type by its name, or by a value.
    pub(super) fn shape(&self, value: &Value) -> ResolvedType {
        match self {
            Self::Scalar(scalar) => ResolvedType::Scalar(Some(*scalar)),
            Self::List(list) => ResolvedType::List(Arc::clone(list)),
            Self::Record(record) => ResolvedType::Record(Arc::clone(record)),
            Self::Named(name) => named(name).map_or(ResolvedType::Scalar(None), |of| of.shape(value)),
            Self::Any if value.is_array() => {
                ResolvedType::List(Arc::new(ListType { element: Self::Any, items: ListItems::Atomic }))
            }
            Self::Any if value.is_object() => {
                ResolvedType::Record(Arc::new(RecordType { rest: Some(Self::Any), ..RecordType::default() }))
            }
            Self::Any => ResolvedType::Scalar(None),
        }
    }

    /// Returns the record type, if it is one.
    pub(super) fn record(&self) -> Option<Arc<RecordType>> {
        match self {
            Self::Record(record) => Some(Arc::clone(record)),
            Self::Named(name) => named(name)?.record(),
            _ => None,
        }
    }
}
