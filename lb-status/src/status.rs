//! The answer to `GET /status`: the agent's state, and what the program counts beside it.
//!
//! Server and command line share these types. A field that is newer than the oldest agent that a command may
//! talk to has a default.

use std::borrow::Cow;

use lb_dataplane::counters::VerdictCount;
use lb_dataplane::mapped_tables::FlowCount;
use serde::{Deserialize, Serialize};

use crate::state::AgentState;

/// The status of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The agent's state.
    #[serde(flatten)]
    pub state: AgentState,
    /// Packets by verdict.
    pub outcomes: Vec<VerdictCount>,
    /// Packets received for each VIP, by the VIP's number in the state.
    pub vip_traffic: Vec<VipTraffic>,
    /// Packets forwarded to each node, by the node's index in the state.
    pub node_traffic: Vec<NodeTraffic>,
    /// Liveness of each other node, by the node's index in the state.
    pub liveness: Vec<NodeLiveness>,
    /// Flows in this node's table.
    pub flows: FlowCount,
}

/// The liveness of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeLiveness {
    /// The node's index.
    pub number: u32,
    /// `alive`, `draining` or `dead`.
    pub state: Cow<'static, str>,
    /// Milliseconds of the probe clock since the node's last answer.
    pub silent_ms: u64,
}

/// Packets received for a VIP.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct VipTraffic {
    /// The VIP's number.
    pub number: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Flows that began; `None`: they are not counted.
    #[serde(default)]
    pub new_flows: Option<u64>,
    /// Packets dropped because their clients are outside the Service's source ranges; not among `packets`.
    #[serde(default)]
    pub source_refused: u64,
}

/// Packets forwarded to a node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct NodeTraffic {
    /// The node's index.
    pub number: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}
