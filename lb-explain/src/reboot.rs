//! What a reboot of a node would cost: addresses that no other node would announce or serve, and flows.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_model::{Model, NodeName, Service, ServiceName};
use lb_pipeline::owner::LivenessState;
use lb_plan::plan::NodeState;
use lb_plan::speaker::{self, ServiceAdvertisement};
use serde::{Deserialize, Serialize};

use crate::facts::{AnnouncerFacts, ClusterFacts};

/// What is known of the cluster by one of its nodes.
#[derive(Clone, Debug)]
pub struct RebootFacts<'a> {
    /// The node to reboot.
    pub node: &'a NodeName,
    /// The objects and the nodes.
    pub cluster: &'a ClusterFacts,
    /// The announcers of addresses on the local network.
    pub announcers: &'a [(IpAddr, AnnouncerFacts)],
    /// Flows that the node owns; `None`: another node counts them.
    pub flows: Option<usize>,
}

/// Whether a node may be rebooted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootReport {
    /// The node.
    pub node: String,
    /// Whether every address stays reachable.
    pub safe: bool,
    /// Whether the node drains.
    pub draining: bool,
    /// Flows that it owns, which end with it; `None`: ask on the node itself.
    pub flows: Option<usize>,
    /// What would be lost.
    pub losses: Vec<RebootLoss>,
    /// What to do next.
    pub advice: String,
}

/// What a reboot would take away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RebootLoss {
    /// The Service, as `namespace/name`, or the address; `None`: all.
    pub of: Option<String>,
    /// What it would lose.
    pub what: String,
}

/// Returns what a reboot would cost; `None` if there is no such node.
pub fn report(facts: &RebootFacts<'_>) -> Option<RebootReport> {
    let own = facts.cluster.nodes.iter().find(|node| node.name == *facts.node)?;
    let mut losses = BTreeSet::new();
    if !facts.cluster.nodes.iter().any(|node| node.name != *facts.node && takes_over(facts.cluster, node)) {
        let what = "no other node is alive, accepts flows and is not excluded".to_owned();
        losses.insert(RebootLoss { of: None, what });
    }
    let model = &facts.cluster.model;
    for (name, service) in &model.services {
        if loses_endpoints(service, facts.node) {
            let what = "its last ready endpoints".to_owned();
            losses.insert(RebootLoss { of: Some(name.to_string()), what });
        }
    }
    losses.extend(lost_routes(facts));
    losses.extend(facts.announcers.iter().filter_map(|(address, it)| lost_announcer(facts, *address, it)));
    let losses: Vec<_> = losses.into_iter().collect();
    let advice = advice(facts, own, losses.is_empty());
    Some(RebootReport {
        node: facts.node.to_string(),
        safe: losses.is_empty(),
        draining: own.draining,
        flows: facts.flows,
        losses,
        advice,
    })
}

fn advice(facts: &RebootFacts<'_>, own: &NodeState, is_safe: bool) -> String {
    let name = facts.node;
    match facts.flows {
        _ if !is_safe => {
            "give each of these another node first: more replicas on other nodes, or other nodes in its advertisements".into()
        }
        Some(0) if own.draining => format!("{name} is drained: reboot it, then run `fairlead drain --undo`"),
        Some(flows) if own.draining => {
            format!("{name} drains, and {flows} flows still live there: wait, or let them break")
        }
        _ => format!("run `fairlead drain` on {name} first, so that no connection breaks"),
    }
}

/// Returns whether a node takes new flows.
fn takes_over(cluster: &ClusterFacts, node: &NodeState) -> bool {
    is_alive(cluster, node) && !node.draining && node.excluded.is_none()
}

fn is_alive(cluster: &ClusterFacts, node: &NodeState) -> bool {
    let liveness = cluster.liveness.get(&node.index);
    node.is_self || liveness.is_none_or(|liveness| liveness.state != LivenessState::Dead)
}

fn loses_endpoints(service: &Service, node: &NodeName) -> bool {
    let served = service.vips.iter().filter(|vip| vip.is_served(service.policy));
    served.map(|vip| &vip.endpoints).any(|endpoints| {
        let is_only = endpoints.by_node.len() == 1 && endpoints.by_node.contains_key(node);
        is_only && endpoints.elsewhere == 0
    })
}

/// Returns the Services that only this node advertises to BGP peers.
fn lost_routes(facts: &RebootFacts<'_>) -> Vec<RebootLoss> {
    let model = &facts.cluster.model;
    let mut left = advertised(model, facts, facts.node);
    let others = facts.cluster.nodes.iter().filter(|node| node.name != *facts.node);
    for node in others.filter(|node| is_alive(facts.cluster, node)) {
        if left.is_empty() {
            break;
        }
        let by_it = advertised(model, facts, &node.name);
        left.retain(|name| !by_it.contains(name));
    }
    let loss =
        |name: ServiceName| RebootLoss { of: Some(name.to_string()), what: "its last BGP route".to_owned() };
    left.into_iter().map(loss).collect()
}

fn advertised(model: &Model, facts: &RebootFacts<'_>, node: &NodeName) -> BTreeSet<ServiceName> {
    let settings = speaker::SpeakerSettings { withdrawn: false, ..facts.cluster.speaker };
    let plan = speaker::plan(model, node, &settings).unwrap_or_default();
    let is_advertised = |(name, it): (ServiceName, ServiceAdvertisement)| {
        matches!(it, ServiceAdvertisement::To(peers) if !peers.is_empty()).then_some(name)
    };
    plan.services.into_iter().filter_map(is_advertised).collect()
}

fn lost_announcer(facts: &RebootFacts<'_>, address: IpAddr, it: &AnnouncerFacts) -> Option<RebootLoss> {
    let name = facts.node.as_str();
    let is_candidate = it.ranks.iter().any(|(node, _)| node == name);
    let is_another = it.ranks.iter().any(|(node, state)| node != name && state != "dead");
    let what = "its last announcer on the local network".to_owned();
    (is_candidate && !is_another).then(|| RebootLoss { of: Some(address.to_string()), what })
}
