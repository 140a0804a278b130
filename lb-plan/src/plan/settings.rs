//! What a plan is made from beside the model: what was chosen, and what was found on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::Ipv4Net;
use lb_common::forwarding::{ForwardingMode, UnknownForwardingMode};
use lb_common::hash::HashKey;
use lb_common::tag::TagKeys;

use crate::model::NodeName;

/// What was chosen for this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Name of this machine's Node.
    pub node: NodeName,
    /// The cluster's secret for the flow hash.
    pub hash_key: HashKey,
    /// The keys of the tags on what nodes say to each other.
    pub tag_keys: TagKeys,
    /// Whether IP in IP is taken from other nodes, though nothing but its source says that it is theirs.
    pub accept_ipip: bool,
    /// ICMP echo answers a second and CPU; zero answers none.
    pub echo_rate: u32,
    /// ICMP errors a second and CPU, of each [`lb_common::maps::Budget`] of errors; zero sends none.
    pub icmp_error_rate: u32,
    /// What becomes of packets to ports of a VIP that are none of its Services'.
    pub undeclared: UndeclaredPorts,
    /// How packets get to other nodes.
    pub forwarding: Forwarding,
    /// Slots of a ring for each of its nodes, at least.
    pub slots_per_node: u32,
    /// Slots of all rings together.
    pub ring_capacity: u32,
    /// Sets of the flow table, a power of two.
    pub flow_sets: u32,
    /// When a node is dead.
    pub liveness: Liveness,
    /// Whether this machine has been told to drain; its Node can say so too.
    pub draining: bool,
    /// Whether nodes may announce whose label says that they are none of the load balancer's; the same on all nodes.
    pub ignore_exclude_label: bool,
    /// How long those that led a slot are asked for the flows that they may have;
    /// [`Self::FORMER_GRACE`] unless there is a reason.
    pub former_grace: Duration,
    /// How long after this machine has come to lead slots of a ring UDP flows may still live elsewhere;
    /// [`Self::UDP_GRACE`] unless there is a reason.
    pub udp_grace: Duration,
    /// How long a number of endpoints must have been another before it is a weight;
    /// [`Self::WEIGHT_SETTLE`] unless there is a reason.
    pub weight_settle: Duration,
}

impl Settings {
    /// Longer than TCP takes to ask whether the other end of a silent connection is still there: two hours, and some
    /// minutes until it gives up (RFC 1122 section 4.2.3.6, and the defaults of Linux).
    pub const FORMER_GRACE: Duration = Duration::from_secs(8100);
    /// Longer than most resolvers, and most middle boxes, remember a UDP flow.
    pub const UDP_GRACE: Duration = Duration::from_secs(60);
    /// Longer than a pod is replaced by the next in a rolling update.
    pub const WEIGHT_SETTLE: Duration = Duration::from_secs(30);
}

/// When a node is dead, in ticks of the probe clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    /// Ticks without an answer; zero: nobody ever is.
    pub limit: u32,
    /// Ticks after that for which flows that nobody knows wait, in case the node comes back.
    pub orphan_grace: u32,
    /// What this machine's discriminators are made with: random.
    pub nonce: u64,
}

/// What becomes of packets to ports of a VIP that are none of its Services'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndeclaredPorts {
    /// They are dropped, and their sender is answered by ICMP port unreachable.
    #[default]
    Unreachable,
    /// They are dropped.
    Drop,
    /// They go to the node's network stack.
    Pass,
}

/// How packets are carried to other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// New MAC addresses to nodes that are on-link, GUE to the others.
    #[default]
    Auto,
    /// One mode to all nodes.
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

/// What was found on this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Interfaces with the program, by interface index.
    pub uplinks: BTreeMap<u32, Uplink>,
    /// How the addresses of [`crate::model::Model::addresses_to_resolve`] are reached now. One that is not
    /// there is not resolved, or not yet.
    pub ways: BTreeMap<IpAddr, Way>,
    /// Primary addresses of the nodes that take no new flows now, as far as this machine's probes tell: those
    /// that do not answer, and those that answer that they drain.
    pub silent: BTreeSet<IpAddr>,
    /// Gateways of this machine's default routes: it answers ARP for none of them.
    pub gateways: BTreeSet<IpAddr>,
    /// Whether this machine cannot carry packets, and so announces nothing.
    pub withdrawn: bool,
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
    /// Interface indices of its members, where it is a bond: in native mode the program runs on them, and they are
    /// where packets come in.
    pub members: BTreeSet<u32>,
    /// Its IPv4 addresses, each with the length of the prefix that is on-link with it.
    pub networks: BTreeSet<Ipv4Net>,
    /// Whether it has a carrier.
    pub has_carrier: bool,
}

/// How an address is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Interface that leads there.
    pub ifindex: u32,
    /// MAC of the next hop: of the node itself where it is on-link.
    pub next_hop_mac: [u8; 6],
    /// Whether there is no router between.
    pub on_link: bool,
    /// Largest IP packet on the way, in bytes.
    pub mtu: u16,
    /// Address of this machine that it speaks from.
    pub source: IpAddr,
}
