//! What a plan says of Services and nodes, to be shown.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lb_common::forwarding::ForwardingMode;
use lb_common::maps::{VIP_SOURCES, Vip};
use lb_common::ring::NodeIndex;
use serde::{Serialize, Serializer};

use super::nodes::Roster;
use super::vips::{WantedSet, vip_key};
use crate::contents::{Contents, Region};
use crate::model::{Exclusion, Model, NodeName, Protocol, Service, ServiceName, ServiceVip, TrafficPolicy};

/// A Service.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RingState {
    /// First slot in `lb_rings`.
    pub first: u32,
    /// Number of slots.
    pub slots: u32,
    /// Who should share the slots, and so gets new flows. Where there was no room for a new ring, the old one is still in
    /// use.
    #[serde(serialize_with = "as_list")]
    pub members: Arc<[Share]>,
    /// Nodes that only keep the flows that they own: they drain, are excluded from load balancing, or have none but
    /// terminating endpoints.
    #[serde(serialize_with = "as_list")]
    pub keeping: Arc<[NodeName]>,
}

fn as_list<T: Serialize, S: Serializer>(list: &Arc<[T]>, serializer: S) -> Result<S::Ok, S::Error> {
    list[..].serialize(serializer)
}

/// A node's share of a ring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    pub way: NodePath,
    /// Whether it is this machine.
    pub is_self: bool,
    /// Whether it is to get no new flows.
    pub draining: bool,
    /// Why its Node object says so, if it does.
    pub drain: Option<String>,
    /// Why it is excluded from load balancing, if it is.
    pub excluded: Option<Exclusion>,
}

/// How a node is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodePath {
    /// It is this machine.
    Own,
    /// By packets in this mode.
    Mode(ForwardingMode),
    /// Not at all.
    Unresolved,
}

impl NodePath {
    /// Its name, in status and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Mode(mode) => mode.as_str(),
            Self::Unresolved => "unresolved",
        }
    }
}

impl Serialize for NodePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

pub(super) fn services(
    model: &Model,
    wanted: &WantedSet<'_>,
    roster: &Roster<'_>,
    contents: &Contents,
    announcers: &BTreeMap<IpAddr, NodeName>,
) -> Vec<ServiceState> {
    // Once a ring: thousands of Services share one.
    let rings: Vec<_> = wanted.rings.iter().map(|members| divided(members, roster)).collect();
    let vip = |vip: &ServiceVip| vip_state(vip, wanted, &rings, contents, announcers);
    let service = |(name, service): (&ServiceName, &Arc<Service>)| ServiceState {
        service: name.clone(),
        policy: service.policy,
        affinity: service.affinity,
        vips: service.vips.iter().map(vip).collect(),
    };
    model.services.iter().map(service).collect()
}

/// The members that get new flows, and those that keep what they own.
type Divided = (Arc<[Share]>, Arc<[NodeName]>);

fn divided(members: &Arc<[Share]>, roster: &Roster<'_>) -> Divided {
    let best = members.iter().map(|share| roster.tier(share)).min().unwrap_or_default();
    let leads = |share: &&Share| roster.tier(share) == best;
    if members.iter().all(|share| leads(&share)) {
        return (Arc::clone(members), Arc::default());
    }
    let (leading, others): (Vec<_>, Vec<_>) = members.iter().partition(leads);
    (leading.into_iter().cloned().collect(), others.into_iter().map(|share| share.node.clone()).collect())
}

fn vip_state(
    vip: &ServiceVip,
    wanted: &WantedSet<'_>,
    rings: &[Divided],
    contents: &Contents,
    announcers: &BTreeMap<IpAddr, NodeName>,
) -> VipState {
    let key = vip_key(vip);
    let installed = contents.vips.get(&key);
    let of_ring = || rings.get(wanted.ring(&key)?).cloned();
    let ring = installed.and_then(Region::of).and_then(|region| {
        let (members, keeping) = of_ring()?;
        Some(RingState { first: region.first, slots: region.slots, members, keeping })
    });
    let ranges_of = |vip: &Vip| contents.sources.get(&vip.number).map_or(0, |sources| sources.len());
    VipState {
        address: vip.address,
        port: vip.port,
        protocol: vip.protocol,
        number: installed.map(|vip| vip.number),
        ring,
        announcer: announcers.get(&vip.address).cloned(),
        source_ranges: installed.filter(|vip| vip.flags & VIP_SOURCES != 0).map(ranges_of),
    }
}
