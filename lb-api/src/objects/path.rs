//! Steps of a path into a value.

/// A step from a value into it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Field(String),
    Item(usize),
}
