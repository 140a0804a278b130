//! All objects at one moment.

use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// All objects at one moment, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The objects: by file, or by kind, namespace and name. One that has not changed is the same in two snapshots.
    pub objects: Vec<Arc<Sourced<Object>>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// What is to be said of an object that is there as it was before, because it cannot be read. Of what does not
/// configure the load balancer, of which a file may hold thousands, it is enough to say what is wrong.
pub fn staying(object: &Sourced<Object>) -> Option<Problem> {
    object
        .value
        .kind()
        .is_configuration()
        .then(|| Problem::about(object.value.reference(), Reason::StaysAsBefore))
}
