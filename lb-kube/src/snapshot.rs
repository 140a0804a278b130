//! A snapshot of all objects.

use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// All objects at one point in time, and their problems.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The objects, by file, or by kind, namespace and name. One that has not changed is the same `Arc` in
    /// two snapshots.
    pub objects: Vec<Arc<Sourced<Object>>>,
    /// Problems of objects that could not be parsed.
    pub problems: Vec<Problem>,
}

/// Returns the problem to report of an object whose last valid version stays in use because the current one
/// cannot be parsed. `None` if it does not configure the load balancer: a file may hold thousands of such
/// objects, and the error itself suffices.
pub fn stale_problem(object: &Sourced<Object>) -> Option<Problem> {
    object
        .value
        .kind()
        .is_configuration()
        .then(|| Problem::about(object.value.reference(), Reason::StaysAsBefore))
}
