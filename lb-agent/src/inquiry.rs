//! Questions to the control loop about what it knows.

use lb_explain::facts::ClusterFacts;
use tokio::sync::oneshot;

/// A question of an operator about what the control loop knows, with the place for the answer.
#[derive(Debug)]
pub struct Inquiry(pub oneshot::Sender<LoopFacts>);

/// What the control loop knows.
#[derive(Clone, Debug, Default)]
pub struct LoopFacts {
    /// The objects, and what the agent has made of them. The liveness of nodes is left out.
    pub cluster: ClusterFacts,
    /// Problems of the uplinks, a sentence each.
    pub uplink_problems: Vec<String>,
    /// Uplinks with an XDP program of others, a sentence each.
    pub occupied: Vec<String>,
}
