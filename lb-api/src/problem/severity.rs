//! The severity of problems.

use serde::Serialize;

/// How severe a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A normal state that explains why something is not served.
    Notice,
    /// A part of a valid object has no effect.
    Warning,
    /// Something that is configured is not in force.
    Error,
}
