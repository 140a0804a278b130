//! A node as a BGP speaker, and its settings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_model::{BgpAdvertisement, Model, Node, NodeName, Peer};

/// The settings that limit what a node advertises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpeakerSettings {
    /// The label node.kubernetes.io/exclude-from-external-load-balancers does not keep a node from
    /// advertising.
    pub ignore_exclude_label: bool,
    /// A node advertises a Service with externalTrafficPolicy Local only if it has a serving endpoint itself.
    /// That is MetalLB's rule; a data plane that forwards packets to the endpoints lets any node advertise.
    pub local_needs_endpoint: bool,
    /// The node is about to leave: peers are asked to prefer other paths (RFC 8326).
    pub draining: bool,
    /// The node cannot carry packets: it advertises nothing.
    pub withdrawn: bool,
}

/// This node as a BGP speaker.
pub(super) struct SpeakerContext<'a> {
    pub(super) model: &'a Model,
    pub(super) name: &'a NodeName,
    pub(super) node: &'a Node,
    pub(super) settings: &'a SpeakerSettings,
    pub(super) peers: BTreeMap<&'a String, &'a Peer>,
}

/// An address of a Service, and the advertisements that select it.
pub(super) struct AdvertisedAddress<'a> {
    pub(super) address: IpAddr,
    pub(super) by: Vec<&'a BgpAdvertisement>,
}

impl AdvertisedAddress<'_> {
    pub(super) fn is_for(&self, name: &str, peer: &Peer) -> bool {
        peer.takes(self.address.is_ipv4()) && self.by.iter().any(|by| by.selects_peer(name))
    }
}
