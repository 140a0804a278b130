//! All objects at one moment.

use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;

/// All objects at one moment, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The objects: by file, or by kind, namespace and name. One that has not changed is the same in two snapshots.
    pub objects: Vec<Arc<Sourced<Object>>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}
