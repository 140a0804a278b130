//! The states of Services and nodes that a plan returns.

use std::net::IpAddr;
use std::sync::Arc;

use lb_common::forwarding::{ForwardingMode, UnknownForwardingMode};
use lb_common::ring::NodeIndex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use lb_model::{Exclusion, NodeName, PoolName, Protocol, ServiceName, TrafficPolicy};

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
    /// Number in `lb_vip_stats`; `None` while its traffic is not taken over.
    pub number: Option<u32>,
    /// Its ring; `None` while its traffic is not taken over.
    pub ring: Option<RingState>,
    /// Node that announces the address on the local network.
    pub announcer: Option<NodeName>,
    /// Number of entries of `lb_sources` that restrict its clients; `None`: it admits all.
    pub source_ranges: Option<usize>,
}

/// An address that nodes announce on the local network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedAddress {
    /// The address.
    pub address: IpAddr,
    /// Its pool.
    pub pool: PoolName,
    /// The nodes that may announce it, the first live one of which does.
    pub ranks: Arc<[(NodeName, NodeIndex)]>,
    /// The uplinks of this machine that announce it, a bit for each [`lb_common::maps::Link::number`].
    pub uplinks: u64,
    /// Whether this machine may answer for it: it has been checked for duplicates.
    pub may_answer: bool,
}

/// A ring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RingState {
    /// First slot in `lb_rings`.
    pub first: u32,
    /// Number of slots.
    pub slots: u32,
    /// The nodes that get new flows, with their shares. If a new ring did not fit, the old one is still in
    /// use.
    #[serde(serialize_with = "as_list", deserialize_with = "from_list")]
    pub members: Arc<[Share]>,
    /// Nodes that only keep the flows that they own: they drain, are excluded from load balancing, or have
    /// terminating endpoints only.
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
    /// Its weight, relative to the others'.
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
    /// Its ID on the wire.
    pub id: u32,
    /// Its primary address.
    pub address: IpAddr,
    /// How packets are forwarded to it.
    pub way: NodePath,
    /// Whether it is this machine.
    pub is_self: bool,
    /// Whether it gets no new flows.
    pub draining: bool,
    /// Why its Node object drains it, if it does.
    pub drain: Option<String>,
    /// Why it is excluded from load balancing, if it is.
    pub excluded: Option<Exclusion>,
}

/// How packets reach a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum NodePath {
    /// This machine itself.
    Own,
    /// By a forwarding mode.
    Mode(ForwardingMode),
    /// The next hop is unresolved.
    Unresolved,
}

impl NodePath {
    /// Returns the path as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Mode(mode) => mode.as_str(),
            Self::Unresolved => "unresolved",
        }
    }
}

impl From<NodePath> for &'static str {
    fn from(path: NodePath) -> Self {
        path.as_str()
    }
}

impl TryFrom<String> for NodePath {
    type Error = UnknownForwardingMode;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        let other = [Self::Own, Self::Unresolved].into_iter().find(|path| path.as_str() == word);
        other.map_or_else(|| word.parse().map(Self::Mode), Ok)
    }
}
