//! The API server's checks of fields beyond their types.

use serde::Serialize;

/// A CEL rule, as in `x-kubernetes-validations`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct CelRule {
    /// The condition; `self` is the field.
    pub(super) rule: &'static str,
    /// The error message.
    pub(super) message: &'static str,
}

/// The field is immutable.
pub(super) const UNCHANGED: [CelRule; 1] =
    [CelRule { rule: "self == oldSelf", message: "this cannot be changed" }];
