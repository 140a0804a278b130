//! What an API server checks of a field beyond its type.

use serde::Serialize;

/// A rule in CEL, as `x-kubernetes-validations` of a definition has it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rule {
    /// What must be true; `self` is the field.
    pub(super) rule: &'static str,
    /// What is said where it is not.
    pub(super) message: &'static str,
}

/// The field stays as it was first written.
pub(super) const UNCHANGED: [Rule; 1] = [Rule { rule: "self == oldSelf", message: "this cannot be changed" }];
