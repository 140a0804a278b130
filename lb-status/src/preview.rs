//! The preview of an agent's first pass: what it would attach, write, advertise and announce. Pure: a value,
//! made from plans and observations.

mod operations;
mod uplinks;

pub use operations::{MapChanges, OperationPreview};
pub use uplinks::{UplinkAction, UplinkPreview};

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_api::problem::{Problem, Severity};
use lb_bgp::session::PeerAs;
use lb_bgp::value::Attributes;
use lb_model::PeerLocation;
use lb_plan::contents::Op;
use lb_plan::plan::{Facts, Plan};
use lb_plan::speaker::{PeerPlan, SpeakerPlan};
use serde::Serialize;

/// What an agent would do on this node.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AgentPreview {
    /// Name of this node.
    pub node: String,
    /// Failed checks of this machine, a sentence each: the agent would not start.
    pub failed: Vec<String>,
    /// The uplinks.
    pub uplinks: Vec<UplinkPreview>,
    /// The operations on each map, by its name.
    pub maps: BTreeMap<&'static str, MapChanges>,
    /// The operations, in order.
    pub operations: Vec<OperationPreview>,
    /// The sessions with BGP peers, by the names of their objects.
    pub peers: BTreeMap<String, PeerRoutesPreview>,
    /// The routes that are advertised to BGP peers.
    pub routes: Vec<RoutePreview>,
    /// The addresses that this node may announce on the local network.
    pub addresses: Vec<AddressPreview>,
    /// Problems of the objects.
    pub problems: Vec<Problem>,
    /// What else is to be known, a sentence each.
    pub notes: Vec<String>,
}

/// A session with a BGP peer.
#[derive(Clone, Debug, Serialize)]
pub struct PeerRoutesPreview {
    /// The peer's address or interface.
    pub at: String,
    /// Its AS: a number, `internal` or `external`.
    pub remote_as: String,
    /// Whether the session has BFD.
    pub bfd: bool,
    /// The number of routes.
    pub routes: usize,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoutePreview {
    /// The prefix.
    pub prefix: String,
    /// Its communities and large communities.
    pub communities: Vec<String>,
    /// LOCAL_PREF, if an object sets it.
    pub local_pref: Option<u32>,
    /// The peers that it is advertised to.
    pub peers: Vec<String>,
}

/// An address that this node may announce on the local network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddressPreview {
    /// The address.
    pub address: IpAddr,
    /// Its pool.
    pub pool: String,
    /// The rank of this node, from 1, by which it announces if the nodes before it are dead.
    pub rank: usize,
    /// The number of nodes that have a rank.
    pub ranks: usize,
    /// The uplinks on which it is announced.
    pub uplinks: Vec<String>,
}

impl AgentPreview {
    /// Adds what a plan of the maps means: the operations, and the announced addresses.
    #[must_use]
    pub fn with_plan(mut self, plan: Plan, operations: &[Op], facts: &Facts) -> Self {
        self.maps = operations::by_map(operations);
        self.operations = operations.iter().map(OperationPreview::from).collect();
        self.addresses = addresses(&self.node, &plan, facts);
        self.problems.extend(plan.problems);
        self
    }

    /// Adds the sessions and routes of a plan.
    #[must_use]
    pub fn with_speaker(mut self, plan: SpeakerPlan) -> Self {
        self.routes = routes(&plan);
        self.peers = plan.peers.iter().map(|(name, peer)| (name.clone(), peer.into())).collect();
        self.problems.extend(plan.problems);
        self
    }

    /// Adds the uplinks. One that has another program is a failed check.
    #[must_use]
    pub fn with_uplinks(mut self, uplinks: Vec<UplinkPreview>) -> Self {
        self.failed.extend(uplinks.iter().filter_map(UplinkPreview::refusal));
        self.uplinks = uplinks;
        self
    }

    /// Returns whether the agent would start, and all that the objects configure would be in force.
    pub fn is_sound(&self) -> bool {
        self.failed.is_empty() && self.problems.iter().all(|it| it.severity() != Severity::Error)
    }
}

impl From<&PeerPlan> for PeerRoutesPreview {
    fn from(plan: &PeerPlan) -> Self {
        let session = &plan.session;
        Self {
            at: match &session.endpoint {
                PeerLocation::Address(address) => address.to_string(),
                PeerLocation::Interface(interface) => interface.clone(),
            },
            remote_as: match session.remote {
                PeerAs::Exactly(asn) => asn.to_string(),
                PeerAs::Internal => "internal".to_owned(),
                PeerAs::External => "external".to_owned(),
            },
            bfd: session.bfd.is_some(),
            routes: plan.routes.len(),
        }
    }
}

/// Returns the routes, each with all the peers that get it with the same attributes.
fn routes(plan: &SpeakerPlan) -> Vec<RoutePreview> {
    let mut routes: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (name, peer) in &plan.peers {
        for route in peer.routes.iter() {
            routes.entry(route).or_default().push(name.clone());
        }
    }
    let routes = routes.into_iter().map(|((prefix, attributes), peers)| RoutePreview {
        prefix: prefix.to_string(),
        communities: communities(attributes),
        local_pref: attributes.local_pref,
        peers,
    });
    routes.collect()
}

fn communities(attributes: &Attributes) -> Vec<String> {
    let standard = attributes.communities.iter().map(ToString::to_string);
    standard.chain(attributes.large_communities.iter().map(ToString::to_string)).collect()
}

/// Returns the addresses for which this node has a rank and an uplink.
fn addresses(own: &str, plan: &Plan, facts: &Facts) -> Vec<AddressPreview> {
    let preview = |it: &lb_plan::plan::AnnouncedAddress| {
        let rank = it.ranks.iter().position(|(name, _)| name.as_str() == own)? + 1;
        let numbered = (0..u64::BITS).zip(facts.uplinks.values());
        let uplinks = numbered.filter(|(number, _)| it.uplinks >> number & 1 != 0);
        Some(AddressPreview {
            address: it.address,
            pool: it.pool.to_string(),
            rank,
            ranks: it.ranks.len(),
            uplinks: uplinks.map(|(_, uplink)| uplink.name.clone()).collect(),
        })
    };
    plan.announced.iter().filter_map(preview).filter(|it| !it.uplinks.is_empty()).collect()
}

#[cfg(test)]
mod tests;
