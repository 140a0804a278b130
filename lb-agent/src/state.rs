//! What the agent shows of itself.

use std::borrow::Cow;
use std::sync::Arc;

use lb_kube::reading::Reading;
use lb_plan::plan::{NodeState, ServiceState};
use lb_speaker::Announced;
use serde::{Deserialize, Serialize};

use lb_dataplane::attach::AttachedUplink;
use lb_dataplane::kernel_lookup::LookupSupport;
use lb_kube::config_errors::Faults;

/// One look at the agent, whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AgentState {
    /// Name of this node.
    pub node: String,
    /// Version of this binary.
    pub version: Cow<'static, str>,
    /// Whether packets are carried: the program is on every uplink that is there, one of them has a carrier, the maps
    /// hold a whole plan, and every node that can be reached is known by its MAC.
    pub ready: bool,
    /// The uplinks, and how the program runs on each.
    pub interfaces: Vec<AttachedUplink>,
    /// What the program can ask this node's kernel.
    #[serde(default)]
    pub asks_kernel: LookupSupport,
    /// How often the loop has planned.
    pub turns: u64,
    /// What the last turn did.
    pub last: Applied,
    /// The Services that are served.
    pub services: Vec<ServiceState>,
    /// The nodes of the cluster.
    pub nodes: Vec<NodeState>,
    /// What this node says of each Service to routers.
    #[serde(skip)]
    pub announced: Arc<[Announced]>,
    /// What became of reading the objects.
    #[serde(skip)]
    pub reading: Reading,
    /// What is wrong with what configures the load balancer.
    #[serde(skip)]
    pub faults: Faults,
    /// Ticks of the probe clock without an answer after which a node is dead; zero: nobody ever is.
    pub liveness_limit: u32,
    /// Whether this node takes no new flows.
    pub draining: bool,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

/// What one turn of the loop did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Applied {
    /// Operations written to maps.
    pub operations: usize,
    /// Time from the start of planning to the last write.
    pub microseconds: u64,
}
