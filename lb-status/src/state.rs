//! The agent's state, as the admin socket, metrics and status reports show it.

use std::borrow::Cow;
use std::sync::Arc;

use lb_kube::reading::Reading;
use lb_plan::plan::{NodeState, ServiceState};
use lb_speaker::ServiceRoutes;
use serde::{Deserialize, Serialize};

use lb_dataplane::attach::AttachedUplink;
use lb_dataplane::kernel_lookup::LookupSupport;
use lb_kube::config_errors::ConfigErrors;

/// The agent's state after a pass of the control loop.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AgentState {
    /// Name of this node.
    pub node: String,
    /// Version of this binary.
    pub version: Cow<'static, str>,
    /// Whether the node forwards packets: the program is on every existing uplink, one of them has a carrier,
    /// the maps hold a complete plan, and the next hop of every reachable node is resolved.
    pub ready: bool,
    /// The uplinks, and the mode of the program on each.
    pub interfaces: Vec<AttachedUplink>,
    /// What the program can look up in this node's kernel.
    #[serde(default)]
    pub asks_kernel: LookupSupport,
    /// Passes of the control loop.
    pub turns: u64,
    /// What the last pass did.
    pub last: Applied,
    /// The Services that are served.
    pub services: Vec<ServiceState>,
    /// The nodes of the cluster.
    pub nodes: Vec<NodeState>,
    /// What this node advertises of each Service to BGP peers.
    #[serde(skip)]
    pub announced: Arc<[ServiceRoutes]>,
    /// The state of reading the objects.
    #[serde(skip)]
    pub reading: Reading,
    /// Errors of the objects that configure the load balancer.
    #[serde(skip)]
    pub config_errors: ConfigErrors,
    /// Ticks of the probe clock without an answer after which a node is dead; zero: never.
    pub liveness_limit: u32,
    /// Whether this node takes no new flows.
    pub draining: bool,
    /// Problems, a sentence each.
    pub problems: Vec<String>,
    /// The rings.
    #[serde(skip)]
    pub rings: Rings,
    /// How full the maps are that the plan writes.
    #[serde(skip)]
    pub map_fill: Vec<MapFill>,
}

/// The rings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rings {
    /// Their number.
    pub count: usize,
    /// Slots that the fullest node leads, relative to its fair share, in the least balanced ring; at least 1.
    pub imbalance: f64,
}

impl Default for Rings {
    fn default() -> Self {
        Self { count: 0, imbalance: 1.0 }
    }
}

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFill {
    /// Its name.
    pub map: &'static str,
    /// Its entries.
    pub entries: usize,
    /// The entries that it has room for.
    pub capacity: usize,
}

/// What one pass of the control loop did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Applied {
    /// Operations written to maps.
    pub operations: usize,
    /// Time from the start of planning to the last write.
    pub microseconds: u64,
}
