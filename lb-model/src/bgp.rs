//! What is announced by BGP, and to whom.

mod advertisement;
mod community;
mod judge;
mod peer;
mod profile;

pub use advertisement::BgpAdvertisement;
pub use peer::{Endpoint, Password, Peer, RemoteAs};
pub use peer::{SECRET_KEY, SECRET_TYPE};
pub use profile::BfdProfile;

use std::collections::BTreeMap;

use crate::name::NodeName;
use crate::node::Node;
use crate::pool::Pools;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;

/// What is announced by BGP, and to whom: valid, with references resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bgp {
    /// Routers, by the names of their objects.
    pub peers: BTreeMap<String, Peer>,
    /// Their names. Of several that are one router to a node, the one that comes first here counts on it.
    pub precedence: Vec<String>,
    /// What they are told, in the order of the objects' names.
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
