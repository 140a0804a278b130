//! Settings of `fairlead agent`, as values.

use std::path::PathBuf;
use std::time::Duration;

use lb_bgp::value::RouterId;
use lb_common::hash::HashKey;
use lb_dataplane::attach::{DesiredMode, MapSizes};
use lb_dataplane::kernel_lookup::KernelLookup;
use lb_dataplane::liveness::ProbeProfile;
use lb_kube::source::SourceOptions;
use lb_model::{DrainRules, NodeName};
use lb_plan::plan::{Forwarding, UndeclaredPorts};
use lb_runtime::health::HealthUrl;
use lb_runtime::metrics::MetricsOptions;

use crate::status_reporter::ReporterOptions;
use crate::tag_keys::TagKeysFile;

/// The agent's settings.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Where objects come from.
    pub source: SourceOptions,
    /// Name of this node.
    pub node: NodeName,
    /// Uplinks; empty for those of the default routes.
    pub interfaces: Vec<String>,
    /// XDP mode of the program on the uplinks.
    pub mode: DesiredMode,
    /// BPF file system for the pins.
    pub bpffs: PathBuf,
    /// Path of the admin socket.
    pub socket: PathBuf,
    /// File of the last-known-good configuration.
    pub last_good: PathBuf,
    /// The cluster's hash key.
    pub hash_key: HashKey,
    /// Keys of the tags between nodes.
    pub tag_keys: TagKeysFile,
    /// Whether IP in IP is accepted from other nodes.
    pub accept_ipip: bool,
    /// Forwarding mode to other nodes.
    pub forwarding: Forwarding,
    /// Echo replies per second and CPU.
    pub echo_rate: u32,
    /// ICMP errors per second and CPU.
    pub icmp_error_rate: u32,
    /// Treatment of packets to ports of a VIP that no Service declares.
    pub undeclared: UndeclaredPorts,
    /// Slots of a ring per node, at least.
    pub slots_per_node: u32,
    /// Sizes of the maps.
    pub sizes: MapSizes,
    /// Whether the program looks up connections in this node's kernel.
    pub ask_kernel: KernelLookup,
    /// The load-balancer class that is served; `None`: Services without one.
    pub class: Option<String>,
    /// Whether nodes with the label `exclude-from-external-load-balancers` may announce.
    pub ignore_exclude_label: bool,
    /// The conditions under which nodes drain; the same on every node.
    pub drain: DrainRules,
    /// What this node's health is asked of; while it fails, the node drains.
    pub health_check: Option<HealthUrl>,
    /// Interval and multiplier of probes; `None`: nodes are not probed, and none is ever found dead.
    pub liveness: Option<ProbeProfile>,
    /// For how long after a node's death packets of unknown flows are held.
    pub hold: Duration,
    /// For how long the node keeps its sessions and addresses after its agent has ended.
    pub dead_man: Duration,
    /// Announcement on the local network.
    pub layer2: Layer2Options,
    /// Status reports to the cluster that the objects come from.
    pub reporter: ReporterOptions,
    /// Sessions with BGP peers.
    pub speaker: SpeakerOptions,
    /// The process that holds the sessions while no agent runs.
    pub keeper: KeeperSettings,
    /// The metrics port.
    pub metrics: MetricsOptions,
    /// Whether the metrics port also serves the status page.
    pub status_page: bool,
}

/// Settings of the announcement on the local network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer2Options {
    /// For how long a node that has returned leaves its addresses to the nodes that announce them; `None`: as
    /// long as these live.
    pub preempt_after: Option<Duration>,
    /// Interval at which the announcer repeats its announcements; `None`: never.
    pub keep_alive: Option<Duration>,
    /// Whether a new address is announced only if no other host has it.
    pub duplicate_check: bool,
}

/// The process that holds the BGP sessions while no agent runs.
#[derive(Clone, Debug)]
pub struct KeeperSettings {
    /// Who starts it.
    pub mode: KeeperMode,
    /// The socket that it listens on.
    pub socket: PathBuf,
    /// Arguments of one that the agent starts, about its log.
    pub arguments: Vec<String>,
}

/// Who starts the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeeperMode {
    /// The agent, if none listens.
    Spawn,
    /// Another process, such as the kubelet.
    External,
    /// None is used: a restart of the agent closes the sessions.
    Off,
}

/// Settings of the sessions with BGP peers.
#[derive(Clone, Copy, Debug)]
pub struct SpeakerOptions {
    /// Port that peers may connect to; 0: none.
    pub port: u16,
    /// This node's BGP identifier; `None`: its address.
    pub router_id: Option<RouterId>,
    /// Whether a node advertises a Service with externalTrafficPolicy Local only if it has an endpoint of it.
    pub local_needs_endpoint: bool,
    /// For how long peers are asked to prefer other nodes before this one closes its sessions.
    pub grace: Duration,
}
