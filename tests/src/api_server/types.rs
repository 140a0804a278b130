//! What the fields of a kind are: by what apply merges, strategic patches find items, and bodies are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::builtin::named;

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// One value.
    Scalar(Scalar),
    /// Values in order.
    List(Arc<List>),
    /// Values by name.
    Record(Arc<Record>),
    /// A type of the built-in kinds, which may hold itself.
    Named(&'static str),
    /// Whatever the value shows itself to be.
    Any,
}

/// What a single value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
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

/// What a list is.
#[derive(Debug, PartialEq)]
pub(super) struct List {
    /// What its items are.
    pub(super) element: Type,
    /// How items are told apart.
    pub(super) items: Items,
}

/// How items of a list are told apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Items {
    /// They are not: the list is one value.
    Atomic,
    /// By their value.
    Set,
    /// By these fields, some of which have a default.
    Map(Vec<(String, Option<Value>)>),
}

/// What a map or an object with fields is.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Record {
    /// Its name in Go, which errors tell; empty for those of a CustomResourceDefinition.
    pub(super) name: String,
    /// Fields that it is known to have.
    pub(super) fields: BTreeMap<String, Field>,
    /// What other fields are, if there may be any.
    pub(super) rest: Option<Type>,
    /// Whether it is one value.
    pub(super) atomic: bool,
}

/// A field.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    /// What it is.
    pub(super) of: Type,
    /// Whether it is shown when empty, too.
    pub(super) required: bool,
    /// Whether it is a part that is always there.
    pub(super) embedded: bool,
}

impl Field {
    /// A field that may be absent.
    pub(super) fn optional(of: Type) -> Self {
        Self { of, required: false, embedded: false }
    }
}

impl Record {
    /// What the field of a name is.
    pub(super) fn field(&self, name: &str) -> Option<&Type> {
        self.fields.get(name).map(|field| &field.of).or(self.rest.as_ref())
    }
}

/// What a type is in the end, for a value.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Scalar(Option<Scalar>),
    List(Arc<List>),
    Record(Arc<Record>),
}

impl Type {
    /// What it is, by its name, or by a value.
    pub(super) fn shape(&self, value: &Value) -> Shape {
        match self {
            Self::Scalar(scalar) => Shape::Scalar(Some(*scalar)),
            Self::List(list) => Shape::List(Arc::clone(list)),
            Self::Record(record) => Shape::Record(Arc::clone(record)),
            Self::Named(name) => named(name).map_or(Shape::Scalar(None), |of| of.shape(value)),
            Self::Any if value.is_array() => {
                Shape::List(Arc::new(List { element: Self::Any, items: Items::Atomic }))
            }
            Self::Any if value.is_object() => {
                Shape::Record(Arc::new(Record { rest: Some(Self::Any), ..Record::default() }))
            }
            Self::Any => Shape::Scalar(None),
        }
    }

    /// The record that it is, where it is one.
    pub(super) fn record(&self) -> Option<Arc<Record>> {
        match self {
            Self::Record(record) => Some(Arc::clone(record)),
            Self::Named(name) => named(name)?.record(),
            _ => None,
        }
    }
}
