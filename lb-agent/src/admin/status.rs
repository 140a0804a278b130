//! The answer to `GET /status`: the agent's state, and what the program counts beside it.
//!
//! Server and command line share these types. A field that is newer than the oldest agent that a command may
//! talk to has a default.

use std::borrow::Cow;

use aya::maps::MapError;
use lb_dataplane::counters::{Counters, VerdictCount};
use lb_dataplane::mapped_tables::FlowCount;
use lb_plan::plan::NodeState;
use serde::{Deserialize, Serialize};

use super::AdminState;
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

impl Status {
    /// Reads the counters beside the agent's current state.
    ///
    /// # Errors
    /// When the kernel refuses to read a counter.
    pub(super) fn read(admin: &AdminState) -> Result<Self, MapError> {
        let state = AgentState::clone(&admin.agent.borrow());
        let counters = &admin.counters;
        let own = state.nodes.iter().find(|node| node.is_self);
        Ok(Self {
            outcomes: counters.outcomes()?,
            vip_traffic: vip_traffic(&state, counters)?,
            node_traffic: node_traffic(&state, counters)?,
            liveness: liveness(&state, admin),
            flows: own.map(|node| admin.flows.count(node.index)).unwrap_or_default(),
            state,
        })
    }
}

fn vip_traffic(state: &AgentState, counters: &Counters) -> Result<Vec<VipTraffic>, MapError> {
    let vips = state.services.iter().flat_map(|service| &service.vips);
    vips.filter_map(|vip| vip.number)
        .map(|number| {
            let (traffic, source_refused) = (counters.vip(number)?, counters.source_refused(number)?);
            Ok(VipTraffic { number, packets: traffic.packets, bytes: traffic.bytes, source_refused })
        })
        .collect()
}

fn node_traffic(state: &AgentState, counters: &Counters) -> Result<Vec<NodeTraffic>, MapError> {
    let traffic = |node: &NodeState| {
        let traffic = counters.node(node.index)?;
        Ok(NodeTraffic { number: node.index.into(), packets: traffic.packets, bytes: traffic.bytes })
    };
    state.nodes.iter().map(traffic).collect()
}

fn liveness(state: &AgentState, admin: &AdminState) -> Vec<NodeLiveness> {
    if admin.tick.is_zero() {
        return Vec::new();
    }
    let clock = admin.cells.clock();
    let of = |node: &NodeState| {
        let cell = admin.cells.of(node.index);
        let silence = cell.silence(clock);
        let liveness = if silence >= state.liveness_limit {
            "dead"
        } else if cell.is_draining() {
            "draining"
        } else {
            "alive"
        };
        let silent_ms = (admin.tick * silence).as_millis() as u64;
        NodeLiveness { number: node.index.into(), state: liveness.into(), silent_ms }
    };
    state.nodes.iter().filter(|node| !node.is_self).map(of).collect()
}
