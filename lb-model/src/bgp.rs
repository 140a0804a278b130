//! The BGP configuration: peers and advertisements.

mod advertisement;
mod check;
mod community;
mod peer;
mod profile;

pub use advertisement::BgpAdvertisement;
pub use peer::{Password, Peer, PeerLocation};
pub use peer::{SECRET_KEY, SECRET_TYPE};
pub use profile::BfdParameters;

use std::collections::BTreeMap;

use crate::name::NodeName;
use crate::node::Node;
use crate::pool::Pools;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;

/// The BGP configuration: valid, with references resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bgp {
    /// Peers, by the names of their objects.
    pub peers: BTreeMap<String, Peer>,
    /// The peers' names in order of precedence: of several that are one BGP speaker to a node, the first is
    /// used.
    pub precedence: Vec<String>,
    /// Advertisements, ordered by the names of their objects.
    pub advertisements: Vec<BgpAdvertisement>,
}

impl Bgp {
    pub(super) fn build(
        ordered: &[&Sourced<Object>],
        pools: &Pools,
        nodes: &BTreeMap<NodeName, Node>,
        before: &Self,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let objects = || ordered.iter().copied();
        let aliases = community::aliases(objects(), problems);
        let profiles = profile::build(objects(), problems);
        let (peers, precedence) = peer::build(objects(), &profiles, &before.peers, problems);
        let context = advertisement::build::Context { aliases: &aliases, pools, nodes };
        let advertisements =
            advertisement::build::build(objects(), &context, &before.advertisements, problems);
        Self { peers, precedence, advertisements }
    }
}

#[cfg(test)]
mod tests;
