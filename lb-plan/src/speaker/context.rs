//! A node as a speaker, and what it may say.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_model::{BgpAdvertisement, Model, Node, NodeName, Peer};

/// What a node may say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpeakerSettings {
    /// A node may announce though its label says that it is none of the load balancer's.
    pub ignore_exclude_label: bool,
    /// A node announces a Service with externalTrafficPolicy Local only if it has a serving endpoint itself. That is
    /// MetalLB's rule; with a data plane that takes packets to where the endpoints are, any node may announce.
    pub local_needs_endpoint: bool,
    /// The node is about to go: routers are asked to prefer other ways (RFC 8326).
    pub draining: bool,
    /// The node cannot carry packets: it advertises nothing.
    pub withdrawn: bool,
}

/// This node as a speaker.
pub(super) struct Speaker<'a> {
    pub(super) model: &'a Model,
    pub(super) name: &'a NodeName,
    pub(super) node: &'a Node,
    pub(super) settings: &'a SpeakerSettings,
    pub(super) peers: BTreeMap<&'a String, &'a Peer>,
}

/// An address of a Service, and the advertisements that announce it.
pub(super) struct Told<'a> {
    pub(super) address: IpAddr,
    pub(super) by: Vec<&'a BgpAdvertisement>,
}

impl Told<'_> {
    pub(super) fn is_for(&self, name: &str, peer: &Peer) -> bool {
        peer.takes(self.address.is_ipv4()) && self.by.iter().any(|by| by.selects_peer(name))
    }
}
