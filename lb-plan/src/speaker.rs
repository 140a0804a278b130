//! What routers are told: model and this node → sessions, and the routes of each.
//!
//! A function of its arguments alone, so nothing is told twice and nothing is forgotten: whoever applies a plan
//! looks for the difference to what was told before.

mod context;
mod routes;
mod silence;

pub use context::SpeakerSettings;
pub use routes::Routes;
pub use silence::Silence;

use std::collections::btree_map::{BTreeMap, Entry};
use std::net::IpAddr;
use std::sync::Arc;

use context::{Speaker, Told};
use lb_api::kind::ObjectKind;
use lb_api::problem::{ObjectRef, Problem, Reason};
use lb_model::{Model, Node, NodeName, Peer, ServiceName};

/// What is told, and to whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeakerPlan {
    /// The routers that this node speaks to, by the names of their objects.
    pub peers: BTreeMap<String, PeerPlan>,
    /// What came of every Service, by its name.
    pub services: BTreeMap<ServiceName, Announcement>,
    /// Of each Service that some peer of this node is told of, the addresses that are told, in their order.
    pub addresses: BTreeMap<ServiceName, Vec<IpAddr>>,
    /// Peers of this node that are not spoken to.
    pub problems: Vec<Problem>,
}

/// A router, and what it shall know.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerPlan {
    /// How it is spoken to.
    pub session: Peer,
    /// All that it shall know. Routers that shall know the same share it.
    pub routes: Arc<Routes>,
}

/// What came of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// These peers of this node are told, in the order of their names. Services that are told to the same share them.
    To(Arc<[String]>),
    /// Nobody is told by this node.
    Silent(Silence),
}

/// Plans for a node; `None` if the node is not known: then nothing is to be changed.
pub fn plan(model: &Model, node: &NodeName, settings: &SpeakerSettings) -> Option<SpeakerPlan> {
    let own = model.nodes.get(node)?;
    let (peers, problems) = routers(model, own);
    let speaker = Speaker { model, name: node, node: own, settings, peers };
    let services = model.services.iter();
    let told: Vec<_> = services.map(|(name, service)| (name, silence::judge(&speaker, service))).collect();
    let tables = routes::tables(&speaker, &told);
    let plan = |(name, peer): (&&String, &&Peer)| {
        let routes = tables.get(name.as_str()).cloned().unwrap_or_default();
        ((*name).clone(), PeerPlan { session: (*peer).clone(), routes })
    };
    let peers = speaker.peers.iter().map(plan).collect();
    let addresses = told.iter().filter_map(|(name, told)| Some(((*name).clone(), speaker.addresses(told)?)));
    let addresses = addresses.collect();
    let mut last = Arc::default();
    let announcement =
        |(name, told): (&ServiceName, _)| (name.clone(), speaker.announcement(&told, &mut last));
    let services = told.into_iter().map(announcement).collect();
    Some(SpeakerPlan { peers, services, addresses, problems })
}

/// The peers of a node, each another router: with two sessions to one, either would end the other as a collision
/// (RFC 4271 section 6.8).
fn routers<'a>(model: &'a Model, node: &Node) -> (BTreeMap<&'a String, &'a Peer>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut first: BTreeMap<_, &String> = BTreeMap::new();
    let mut peers = BTreeMap::new();
    for (name, peer) in model.bgp.precedence.iter().filter_map(|name| model.bgp.peers.get_key_value(name)) {
        if !peer.selects_node(node) {
            continue;
        }
        if peer.is_at(node) {
            problems.push(Problem::about(reference(name, peer), Reason::OwnAddress));
            continue;
        }
        match first.entry(peer.router()) {
            Entry::Vacant(free) => {
                free.insert(name);
                peers.insert(name, peer);
            }
            Entry::Occupied(by) => problems.push(taken(name, peer, by.get())),
        }
    }
    (peers, problems)
}

/// The peers that are one router with another on some node: only one of them could be spoken to there. Where no Node is
/// known, those that would be on any.
pub fn contested(model: &Model) -> Vec<Problem> {
    let nowhere = Node::new(vec![std::net::Ipv4Addr::UNSPECIFIED.into()], BTreeMap::new());
    let nowhere = nowhere.filter(|_| model.nodes.is_empty());
    let mut problems: Vec<Problem> = Vec::new();
    for node in model.nodes.values().chain(&nowhere) {
        let is_taken = |problem: &Problem| matches!(problem.reason, Reason::RouterTaken { .. });
        for problem in routers(model, node).1.into_iter().filter(is_taken) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

fn taken(name: &str, peer: &Peer, by: &str) -> Problem {
    Problem::about(reference(name, peer), Reason::RouterTaken { by: by.to_owned() })
}

fn reference(name: &str, peer: &Peer) -> ObjectRef {
    ObjectRef::new(ObjectKind::BGP_PEER, Some(&peer.namespace), name)
}

impl Speaker<'_> {
    /// `last` is the list of peers that was made last.
    fn announcement(&self, told: &Result<Vec<Told<'_>>, Silence>, last: &mut Arc<[String]>) -> Announcement {
        let told = match told {
            Err(silence) => return Announcement::Silent(*silence),
            Ok(told) => told,
        };
        let is_told = |name: &str, peer: &Peer| told.iter().any(|told| told.is_for(name, peer));
        let peers = || self.peers.iter().filter(|(name, peer)| is_told(name, peer)).map(|(name, _)| *name);
        if !peers().eq(last.iter()) {
            *last = peers().cloned().collect();
        }
        Announcement::To(Arc::clone(last))
    }

    /// Those that somebody is told of; `None` where that is none.
    fn addresses(&self, told: &Result<Vec<Told<'_>>, Silence>) -> Option<Vec<IpAddr>> {
        let is_told = |told: &&Told<'_>| self.peers.iter().any(|(name, peer)| told.is_for(name, peer));
        let addresses: Vec<_> = told.as_ref().ok()?.iter().filter(is_told).map(|told| told.address).collect();
        (!addresses.is_empty()).then_some(addresses)
    }
}

#[cfg(test)]
mod tests;
