//! What a plan says of Services and nodes, to be shown.

use std::net::IpAddr;
use std::sync::Arc;

use lb_common::ring::NodeIndex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use lb_model::{Exclusion, NodeName, Protocol, ServiceName, TrafficPolicy};

/// A Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its name.
    pub service: ServiceName,
    /// Which nodes may serve it.
    pub policy: TrafficPolicy,
    /// Whether all flows of a client go to one node.
    pub affinity: bool,
    /// Each of its addresses with each of its ports.
    pub vips: Vec<VipState>,
}

/// A port of an address of a Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VipState {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// Number in `lb_vip_stats`; `None` while its traffic is not taken.
    pub number: Option<u32>,
    /// Its ring; `None` while its traffic is not taken.
    pub ring: Option<RingState>,
    /// Node that answers ARP for the address.
    pub announcer: Option<NodeName>,
    /// How many entries of `lb_sources` say which clients it admits; `None`: it admits all.
    pub source_ranges: Option<usize>,
}

/// A ring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RingState {
    /// First slot in `lb_rings`.
    pub first: u32,
    /// Number of slots.
    pub slots: u32,
    /// Who should share the slots, and so gets new flows. Where there was no room for a new ring, the old one is still in
    /// use.
    #[serde(serialize_with = "as_list", deserialize_with = "from_list")]
    pub members: Arc<[Share]>,
    /// Nodes that only keep the flows that they own: they drain, are excluded from load balancing, or have none but
    /// terminating endpoints.
    #[serde(default, serialize_with = "as_list", deserialize_with = "from_list")]
    pub keeping: Arc<[NodeName]>,
}

fn as_list<T: Serialize, S: Serializer>(list: &Arc<[T]>, serializer: S) -> Result<S::Ok, S::Error> {
    list[..].serialize(serializer)
}

fn from_list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[T]>, D::Error> {
    Vec::deserialize(deserializer).map(Into::into)
}

/// A node's share of a ring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Share {
    /// The node.
    pub node: NodeName,
    /// Its weight, in proportion to the others'.
    pub weight: u32,
    /// Whether all its endpoints are terminating.
    #[serde(skip)]
    pub terminating: bool,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// Its name.
    pub name: NodeName,
    /// Its index on this machine.
    pub index: NodeIndex,
    /// Who it is on the wire.
    pub id: u32,
    /// Address that it is reached at.
    pub address: IpAddr,
    /// How it is reached.
    pub way: WayWord,
    /// Whether it is this machine.
    pub is_self: bool,
    /// Whether it is to get no new flows.
    pub draining: bool,
    /// Why its Node object says so, if it does.
    pub drain: Option<String>,
    /// Why it is excluded from load balancing, if it is.
    pub excluded: Option<Exclusion>,
}

/// How a node is reached, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayWord {
    /// It is this machine.
    #[serde(rename = "self")]
    Own,
    /// New MAC addresses.
    L2,
    /// GUE.
    Gue,
    /// IP in IP.
    Ipip,
    /// Not at all.
    Unresolved,
}

impl WayWord {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::L2 => "l2",
            Self::Gue => "gue",
            Self::Ipip => "ipip",
            Self::Unresolved => "unresolved",
        }
    }
}
