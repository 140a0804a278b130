//! BGP sessions and routes: model and this node → peers, and what is advertised to each.
//!
//! A plan is a function of its arguments and states everything that is to be advertised; its user advertises
//! or withdraws the difference to what was advertised before.

mod context;
mod planner;
mod routes;
mod withheld;

pub use context::SpeakerSettings;
pub use planner::SpeakerPlanner;
pub use routes::RouteTable;
pub use withheld::WithheldReason;

use std::collections::btree_map::{BTreeMap, Entry};
use std::net::IpAddr;
use std::sync::Arc;

use context::{AdvertisedAddress, SpeakerContext};
use lb_api::kind::ObjectKind;
use lb_api::problem::{BgpReason, ObjectRef, Problem, Reason};
use lb_model::{Model, Node, NodeName, Peer, ServiceName};

/// The desired sessions and their routes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeakerPlan {
    /// The peers of this node, by the names of their objects.
    pub peers: BTreeMap<String, PeerPlan>,
    /// Every Service, by name: the peers that it is advertised to, or why it is not.
    pub services: BTreeMap<ServiceName, ServiceAdvertisement>,
    /// The advertised addresses of each Service, in order.
    pub addresses: BTreeMap<ServiceName, Vec<IpAddr>>,
    /// Conflicts that leave peers without a session on this node.
    pub problems: Vec<Problem>,
}

/// A peer and its desired routes.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerPlan {
    /// The session's parameters.
    pub session: Peer,
    /// All routes to be advertised. Peers with the same routes share them.
    pub routes: Arc<RouteTable>,
}

/// Whether a Service is advertised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceAdvertisement {
    /// It is advertised to these peers of this node, ordered by name. Services with the same peers share the
    /// list.
    To(Arc<[String]>),
    /// This node does not advertise it.
    Withheld(WithheldReason),
}

/// Plans for a node; `None` if the node is unknown.
pub fn plan(model: &Model, node: &NodeName, settings: &SpeakerSettings) -> Option<SpeakerPlan> {
    let own = model.nodes.get(node)?;
    let (peers, problems) = peers_of(model, own);
    let speaker = SpeakerContext { model, name: node, node: own, settings, peers };
    let services = model.services.iter();
    let advertised: Vec<_> =
        services.map(|(name, service)| (name, withheld::judge(&speaker, service))).collect();
    let tables = routes::tables(&speaker, &advertised);
    let plan = |(name, peer): (&&String, &&Peer)| {
        let routes = tables.get(name.as_str()).cloned().unwrap_or_default();
        ((*name).clone(), PeerPlan { session: (*peer).clone(), routes })
    };
    let peers = speaker.peers.iter().map(plan).collect();
    let addresses = advertised
        .iter()
        .filter_map(|(name, advertised)| Some(((*name).clone(), speaker.addresses(advertised)?)));
    let addresses = addresses.collect();
    let mut last = Arc::default();
    let advertisement =
        |(name, advertised): (&ServiceName, _)| (name.clone(), speaker.advertisement(&advertised, &mut last));
    let services = advertised.into_iter().map(advertisement).collect();
    Some(SpeakerPlan { peers, services, addresses, problems })
}

/// Returns the peers of a node, all at distinct addresses: of two sessions with one BGP speaker, each would
/// close the other as a collision (RFC 4271 section 6.8).
fn peers_of<'a>(model: &'a Model, node: &Node) -> (BTreeMap<&'a String, &'a Peer>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut first: BTreeMap<_, &String> = BTreeMap::new();
    let mut peers = BTreeMap::new();
    for (name, peer) in model.bgp.precedence.iter().filter_map(|name| model.bgp.peers.get_key_value(name)) {
        if !peer.selects_node(node) {
            continue;
        }
        if peer.is_at(node) {
            problems.push(Problem::about(reference(name, peer), BgpReason::OwnAddress));
            continue;
        }
        match first.entry(peer.router()) {
            Entry::Vacant(free) => {
                free.insert(name);
                peers.insert(name, peer);
            }
            Entry::Occupied(by) => problems.push(conflict(name, peer, by.get())),
        }
    }
    (peers, problems)
}

/// Returns a problem for each peer that is the same BGP speaker as another one on some node: that node has a
/// session with only one of them. If no Node is known, all peers are compared.
pub fn contested(model: &Model) -> Vec<Problem> {
    let nowhere = Node::new(vec![std::net::Ipv4Addr::UNSPECIFIED.into()], BTreeMap::new());
    let nowhere = nowhere.filter(|_| model.nodes.is_empty());
    let mut problems: Vec<Problem> = Vec::new();
    for node in model.nodes.values().chain(&nowhere) {
        let is_taken =
            |problem: &Problem| matches!(problem.reason, Reason::Bgp(BgpReason::RouterTaken { .. }));
        for problem in peers_of(model, node).1.into_iter().filter(is_taken) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

fn conflict(name: &str, peer: &Peer, by: &str) -> Problem {
    Problem::about(reference(name, peer), BgpReason::RouterTaken { by: by.to_owned() })
}

fn reference(name: &str, peer: &Peer) -> ObjectRef {
    ObjectRef::new(ObjectKind::BGP_PEER, Some(&peer.namespace), name)
}

impl SpeakerContext<'_> {
    /// `last` is the list of peers that was returned last.
    fn advertisement(
        &self,
        advertised: &Result<Vec<AdvertisedAddress<'_>>, WithheldReason>,
        last: &mut Arc<[String]>,
    ) -> ServiceAdvertisement {
        let advertised = match advertised {
            Err(withheld) => return ServiceAdvertisement::Withheld(*withheld),
            Ok(advertised) => advertised,
        };
        let is_advertised =
            |name: &str, peer: &Peer| advertised.iter().any(|advertised| advertised.is_for(name, peer));
        let peers =
            || self.peers.iter().filter(|(name, peer)| is_advertised(name, peer)).map(|(name, _)| *name);
        if !peers().eq(last.iter()) {
            *last = peers().cloned().collect();
        }
        ServiceAdvertisement::To(Arc::clone(last))
    }

    /// Returns the addresses that are advertised to any peer; `None` if there are none.
    fn addresses(
        &self,
        advertised: &Result<Vec<AdvertisedAddress<'_>>, WithheldReason>,
    ) -> Option<Vec<IpAddr>> {
        let is_advertised = |advertised: &&AdvertisedAddress<'_>| {
            self.peers.iter().any(|(name, peer)| advertised.is_for(name, peer))
        };
        let addresses: Vec<_> = advertised
            .as_ref()
            .ok()?
            .iter()
            .filter(is_advertised)
            .map(|advertised| advertised.address)
            .collect();
        (!addresses.is_empty()).then_some(addresses)
    }
}

#[cfg(test)]
mod tests;
