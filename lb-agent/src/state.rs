//! What the agent shows of itself.

use lb_plan::plan::{NodeState, ServiceState};
use serde::Serialize;

use crate::admin::intake::Intake;
use crate::dataplane::attach::Attached;

/// One look at the agent, whole.
#[derive(Clone, Debug, Default, Serialize)]
pub struct State {
    /// Name of this node.
    pub node: String,
    /// Version of this binary.
    pub version: &'static str,
    /// Whether the maps hold a whole plan and every node that can be reached is known by its MAC.
    pub ready: bool,
    /// Where the program is.
    pub interfaces: Vec<Attached>,
    /// How often the loop has planned.
    pub turns: u64,
    /// What the last turn did.
    pub last: Applied,
    /// The Services that are served.
    pub services: Vec<ServiceState>,
    /// The nodes of the cluster.
    pub nodes: Vec<NodeState>,
    /// Ticks of the probe clock without an answer after which a node is dead; zero: nobody ever is.
    pub liveness_limit: u32,
    /// Whether this node takes no new flows.
    pub draining: bool,
    /// What came of the objects.
    pub intake: Intake,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

/// What one turn of the loop did.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Applied {
    /// Operations written to maps.
    pub operations: usize,
    /// Time from the start of planning to the last write.
    pub microseconds: u64,
}
