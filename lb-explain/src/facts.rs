//! What is known on a node about a VIP, gathered by the agent.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use lb_common::ring::NodeIndex;
use lb_model::{Model, NodeName};
use lb_pipeline::owner::LivenessState;
use lb_plan::contents::Contents;
use lb_plan::plan::{NodeState, ServiceState};
use lb_plan::speaker::SpeakerSettings;

use crate::target::TargetVip;

/// What is known about a VIP.
#[derive(Clone, Debug)]
pub struct WhyFacts<'a> {
    /// This node.
    pub node: &'a NodeName,
    /// The agent.
    pub agent: &'a AgentFacts,
    /// The objects, and what the agent has made of them.
    pub cluster: &'a ClusterFacts,
    /// The contents of the maps, read back; `None` if they cannot be read.
    pub actual: Option<&'a Contents>,
    /// The sessions with BGP peers.
    pub sessions: &'a [SessionFacts],
    /// The announcer of the address on the local network; `None` if no node announces it there.
    pub announcer: Option<&'a AnnouncerFacts>,
    /// The host.
    pub host: &'a HostFacts,
    /// The VIP's counters.
    pub traffic: TrafficFacts,
}

/// The agent.
#[derive(Clone, Debug, Default)]
pub struct AgentFacts {
    /// Its version.
    pub version: String,
    /// Passes of its control loop.
    pub passes: u64,
    /// Whether the node forwards packets.
    pub is_ready: bool,
    /// Whether the configuration is older than the objects.
    pub is_stale: bool,
    /// Errors of the last read.
    pub read_errors: Vec<String>,
    /// Whether the probe clock has advanced while it was watched; `None` without probes.
    pub clock_runs: Option<bool>,
    /// The uplinks, and the mode of the program on each: `native`, `generic` or `off`.
    pub uplinks: Vec<(String, String)>,
    /// Problems of the uplinks, a sentence each.
    pub uplink_problems: Vec<String>,
    /// XDP programs of others on uplinks, a sentence each.
    pub other_programs: Vec<String>,
}

/// The objects, and what the agent has made of them.
#[derive(Clone, Debug, Default)]
pub struct ClusterFacts {
    /// The objects.
    pub objects: Vec<Arc<Sourced<Object>>>,
    /// The model.
    pub model: Model,
    /// The load-balancer class that is served; `None`: Services without one.
    pub class: Option<String>,
    /// Problems of the objects and of the last plan.
    pub problems: Vec<Problem>,
    /// Operations that the kernel refused, a sentence each.
    pub failures: Vec<String>,
    /// The settings by which this node advertises.
    pub speaker: SpeakerSettings,
    /// The Services of the plan.
    pub services: Vec<ServiceState>,
    /// The nodes of the plan.
    pub nodes: Vec<NodeState>,
    /// The contents of the maps, as the agent has written them.
    pub installed: Contents,
    /// The liveness of the other nodes.
    pub liveness: BTreeMap<NodeIndex, LivenessFacts>,
}

/// The liveness of a node.
#[derive(Clone, Copy, Debug)]
pub struct LivenessFacts {
    /// Its state.
    pub state: LivenessState,
    /// Time since its last answer, by the probe clock.
    pub silence: Duration,
}

/// A session with a BGP peer.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// Name of the BGPPeer object.
    pub peer: String,
    /// The peer's address.
    pub address: IpAddr,
    /// Whether it is established.
    pub is_up: bool,
    /// Its state.
    pub state: String,
    /// Why it is down.
    pub fault: Option<SessionFault>,
    /// The same as a sentence.
    pub error: Option<String>,
    /// What to do.
    pub advice: Option<String>,
    /// Whether BFD is up; `None` without BFD.
    pub bfd: Option<bool>,
    /// Prefixes that the peer has been sent.
    pub advertised: usize,
    /// Prefixes that it has not been sent yet.
    pub pending: usize,
}

/// Why a session is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFault {
    /// One side expects another AS number.
    WrongAs,
    /// No answer from the peer.
    NoAnswer,
    /// The BFD session went down.
    Bfd,
    /// Anything else.
    Other,
}

/// The announcer of an address on the local network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnouncerFacts {
    /// The node that announces it.
    pub node: Option<String>,
    /// Whether that is this node.
    pub is_self: bool,
    /// What this node does: `announcing`, `standby`, `checking`, `conflict` or `off`.
    pub phase: String,
    /// The nodes that may announce it by rank, each with its liveness.
    pub ranks: Vec<(String, String)>,
    /// The MAC addresses of hosts outside the cluster that claim it, and when each was last heard.
    pub strangers: Vec<(String, Duration)>,
}

/// The host.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// Uplinks on which the kernel drops packets whose source it would not route back the same way.
    pub strict_uplinks: Vec<String>,
    /// The interface of the route to the client; `None` if no client is given.
    pub route_back: Option<RouteBack>,
    /// What a router has answered to a packet for the client.
    pub unreachable: Option<Unreachable>,
    /// Other nodes that have answered a ping.
    pub nodes_probed: usize,
    /// Those that large packets do not reach.
    pub blackholes: Vec<Blackhole>,
    /// kube-proxy's rules.
    pub proxy: ProxyFacts,
    /// Connections to the endpoints on this node.
    pub endpoints: Vec<(SocketAddr, Connection)>,
    /// A connection from this node to the VIP.
    pub vip: Option<Connection>,
    /// TCP segments that the kernel has dropped for their TCP-MD5 signature since the start.
    pub md5_drops: u64,
}

/// The kernel's route to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteBack {
    /// There is none.
    None,
    /// By this interface.
    By {
        /// The interface.
        interface: String,
        /// Whether it is an uplink.
        is_uplink: bool,
    },
}

/// A router's ICMP error about a packet for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The router.
    pub router: IpAddr,
    /// What it says: `network unreachable` or such.
    pub says: String,
}

/// A node that large packets do not reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blackhole {
    /// The node.
    pub node: String,
    /// The size that the path should carry.
    pub mtu: u16,
}

/// kube-proxy's rules on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyFacts {
    /// They cannot be read.
    #[default]
    Unknown,
    /// They have one for the VIP.
    Rule {
        /// How they are written: `nftables`, `iptables` or `ipvs`.
        mode: &'static str,
    },
    /// They have none for the VIP.
    Missing {
        /// How they are written.
        mode: &'static str,
    },
}

/// The outcome of a connection attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It opened.
    Open,
    /// It failed, with the operating system's error.
    Failed(String),
}

/// The counters of a VIP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficFacts {
    /// Packets received.
    pub packets: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Packets dropped because of their clients.
    pub source_refused: u64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct WhyQuestion<'a> {
    /// The Service.
    pub subject: &'a crate::target::WhySubject,
    /// The VIP; `None`: the Service has none.
    pub vip: Option<TargetVip>,
    /// The client.
    pub client: Option<IpAddr>,
}
