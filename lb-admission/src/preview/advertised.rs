//! The preview of advertisements.

use std::collections::BTreeMap;

use serde::Serialize;

use lb_bgp::session::PeerAs;
use lb_ipam::Usage;
use lb_model::{Model, NodeName, Peer, PeerLocation, PoolName, ServiceName};
use lb_plan::speaker::{self, ServiceAdvertisement, SpeakerSettings, WithheldReason};

/// A pool, and how it is advertised.
#[derive(Clone, Debug, Serialize)]
pub struct PoolPreview {
    /// Addresses that Services have or would get.
    pub given: i64,
    /// Free addresses; saturates.
    pub free: i64,
    /// Whether Services that do not ask for it get its addresses.
    pub auto_assign: bool,
    /// Peers that it is advertised to, by some node.
    pub peers: Vec<String>,
    /// Whether it is announced on the local network.
    pub layer2: bool,
}

/// A BGP peer.
#[derive(Clone, Debug, Serialize)]
pub struct PeerPreview {
    /// Its address or interface.
    pub at: String,
    /// Its AS: a number, `internal` or `external`.
    pub remote_as: String,
    /// The nodes that would have a session with it.
    pub nodes: Vec<NodeName>,
    /// Whether the session has BFD.
    pub bfd: bool,
}

/// A node's advertisement of a Service.
#[derive(Clone, Debug, Serialize)]
pub struct BgpPreview {
    /// The node.
    pub node: NodeName,
    /// The peers that it is advertised to.
    pub peers: Vec<String>,
    /// Why it is advertised to none.
    pub silent: Option<WithheldReason>,
}

pub(super) fn pools(model: &Model, usage: &BTreeMap<PoolName, Usage>) -> BTreeMap<String, PoolPreview> {
    let preview = |(name, pool): (&PoolName, &lb_model::Pool)| {
        let usage = usage.get(name).copied().unwrap_or_default();
        let advertisements: Vec<_> =
            model.bgp.advertisements.iter().filter(|it| it.selects_pool(name, pool)).collect();
        let is_advertised = |peer: &&String| advertisements.iter().any(|it| it.selects_peer(peer));
        let preview = PoolPreview {
            given: usage.assigned_ipv4.saturating_add(usage.assigned_ipv6),
            free: usage.available_ipv4.saturating_add(usage.available_ipv6),
            auto_assign: pool.auto_assign,
            peers: model.bgp.peers.keys().filter(is_advertised).cloned().collect(),
            layer2: model.l2_advertisements.iter().any(|it| it.selects_pool(name, pool)),
        };
        (name.to_string(), preview)
    };
    model.pools.iter().map(preview).collect()
}

pub(super) fn peers(model: &Model) -> BTreeMap<String, PeerPreview> {
    let preview = |(name, peer): (&String, &Peer)| {
        let nodes = model.nodes.iter().filter(|(_, node)| peer.selects_node(node) && !peer.is_at(node));
        let preview = PeerPreview {
            at: match &peer.endpoint {
                PeerLocation::Address(address) => address.to_string(),
                PeerLocation::Interface(interface) => interface.clone(),
            },
            remote_as: match peer.remote {
                PeerAs::Exactly(asn) => asn.to_string(),
                PeerAs::Internal => "internal".to_owned(),
                PeerAs::External => "external".to_owned(),
            },
            nodes: nodes.map(|(name, _)| name.clone()).collect(),
            bfd: peer.bfd.is_some(),
        };
        (name.clone(), preview)
    };
    model.bgp.peers.iter().map(preview).collect()
}

/// Returns the advertisements of every Service by every node.
pub(super) fn services(model: &Model) -> BTreeMap<ServiceName, Vec<BgpPreview>> {
    let mut services: BTreeMap<ServiceName, Vec<BgpPreview>> = BTreeMap::new();
    for node in model.nodes.keys() {
        let Some(plan) = speaker::plan(model, node, &SpeakerSettings::default()) else { continue };
        for (service, announcement) in plan.services {
            let (peers, silent) = match announcement {
                ServiceAdvertisement::To(peers) => (peers.to_vec(), None),
                ServiceAdvertisement::Withheld(reason) => (Vec::new(), Some(reason)),
            };
            services.entry(service).or_default().push(BgpPreview { node: node.clone(), peers, silent });
        }
    }
    services
}
