//! The inputs of a plan besides the model: the operator's settings and the facts of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use lb_common::forwarding::{ForwardingMode, UnknownForwardingMode};
use lb_common::hash::HashKey;
use lb_common::maps::Standing;
use lb_common::tag::TagKeys;

use lb_model::NodeName;

/// The settings of this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Name of this machine's Node.
    pub node: NodeName,
    /// The cluster's secret key of the flow hash.
    pub hash_key: HashKey,
    /// The keys that authenticate messages between nodes.
    pub tag_keys: TagKeys,
    /// Whether IP in IP from other nodes is accepted, though only its source address identifies them.
    pub accept_ipip: bool,
    /// ICMP echo replies per second and CPU; zero disables them.
    pub echo_rate: u32,
    /// ICMP errors per second and CPU, for each [`lb_common::maps::Budget`] of errors; zero disables them.
    pub icmp_error_rate: u32,
    /// What happens to packets to undeclared ports of a VIP.
    pub undeclared: UndeclaredPorts,
    /// How packets are forwarded to other nodes.
    pub forwarding: Forwarding,
    /// Minimum number of ring slots for each of its nodes.
    pub slots_per_node: u32,
    /// Slots of all rings together.
    pub ring_capacity: u32,
    /// Sets of the flow table, a power of two.
    pub flow_sets: u32,
    /// When a node is dead.
    pub liveness: LivenessSettings,
    /// Whether an operator drains this machine; its Node object can do so too.
    pub draining: bool,
    /// Whether this machine's health check fails: then it drains, too.
    pub unhealthy: bool,
    /// Whether nodes with the label node.kubernetes.io/exclude-from-external-load-balancers may announce; the
    /// same on all nodes.
    pub ignore_exclude_label: bool,
    /// Whether a node announces a Service with externalTrafficPolicy Local on the local network only if it
    /// has an endpoint of it; the same on all nodes.
    pub local_needs_endpoint: bool,
    /// Time without a sign of life of the agent after which its node announces no address that others can
    /// announce; zero: for ever.
    pub agent_limit: Duration,
    /// How long former leaders are asked for flows that they may own; [`Self::FORMER_GRACE`] unless there is
    /// a reason.
    pub former_grace: Duration,
    /// How long UDP flows may still live on other nodes after this machine has come to lead slots;
    /// [`Self::UDP_GRACE`] unless there is a reason.
    pub udp_grace: Duration,
    /// How long a changed number of endpoints must persist before it changes weights; [`Self::WEIGHT_SETTLE`]
    /// unless there is a reason.
    pub weight_settle: Duration,
}

impl Settings {
    /// Longer than TCP keepalive takes to find a dead peer: two hours, and some minutes of probes (RFC 1122
    /// section 4.2.3.6, and the defaults of Linux).
    pub const FORMER_GRACE: Duration = Duration::from_secs(8100);
    /// Longer than most resolvers and middleboxes remember a UDP flow.
    pub const UDP_GRACE: Duration = Duration::from_secs(60);
    /// Longer than a rolling update takes to replace a pod.
    pub const WEIGHT_SETTLE: Duration = Duration::from_secs(30);
}

/// When a node is dead, in ticks of the probe clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LivenessSettings {
    /// Ticks without an answer; zero: nodes never die.
    pub limit: u32,
    /// Ticks after that for which packets of unknown flows are held, in case the node returns.
    pub hold: u32,
    /// Random value that this machine's discriminators are made from.
    pub nonce: u64,
}

/// What happens to packets to undeclared ports of a VIP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndeclaredPorts {
    /// They are dropped, and the sender gets ICMP port unreachable.
    #[default]
    Unreachable,
    /// They are dropped.
    Drop,
    /// They are passed to the node's network stack.
    Pass,
}

/// How packets are forwarded to other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// By MAC rewrite to on-link nodes, by GUE to the others.
    #[default]
    Auto,
    /// By one mode to all nodes.
    Always(ForwardingMode),
}

impl Forwarding {
    /// The name of [`Forwarding::Auto`], beside those of the modes.
    pub const AUTO: &'static str = "auto";
}

impl FromStr for Forwarding {
    type Err = UnknownForwardingMode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == Self::AUTO { Ok(Self::Auto) } else { name.parse().map(Self::Always) }
    }
}

/// The facts of this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Interfaces with the program, by interface index.
    pub uplinks: BTreeMap<u32, Uplink>,
    /// The resolved next hops of [`lb_model::Model::addresses_to_resolve`]. Unresolved addresses are absent.
    pub next_hops: BTreeMap<IpAddr, ResolvedNextHop>,
    /// Primary addresses of the nodes that take no new flows now, according to this machine's probes: those
    /// that do not answer, and those that answer that they drain.
    pub silent: BTreeSet<IpAddr>,
    /// Gateways of this machine's default routes: it announces none of them.
    pub gateways: BTreeSet<IpAddr>,
    /// What this machine says of itself as an announcer on the local network.
    pub standing: Standing,
    /// Whether this machine heard no other node a moment ago, and so holds none.
    pub was_alone: bool,
    /// The addresses that have been checked for duplicates on the local network; `None`: none need be.
    pub checked: Option<BTreeSet<IpAddr>>,
}

/// An interface with the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Its MTU in bytes.
    pub mtu: u16,
    /// Interface indices of a bond's members: in native mode the program runs on them, and packets arrive on
    /// them.
    pub members: BTreeSet<u32>,
    /// Its addresses with their on-link prefixes, without link-local ones.
    pub networks: BTreeSet<IpNet>,
    /// Whether it has a carrier.
    pub has_carrier: bool,
}

/// The resolved next hop of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedNextHop {
    /// Outgoing interface.
    pub ifindex: u32,
    /// MAC of the next hop: of the node itself if it is on-link.
    pub next_hop_mac: [u8; 6],
    /// Whether the node is on-link.
    pub on_link: bool,
    /// Path MTU in bytes.
    pub mtu: u16,
    /// Local source address.
    pub source: IpAddr,
}
