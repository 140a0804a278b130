//! What is advertised to BGP peers and announced on the local network, and by which nodes.

use std::collections::{BTreeMap, BTreeSet};

use lb_model::{L2Advertisement, Model, NodeName, Service, exclusion};
use lb_plan::speaker::{self, ServiceAdvertisement, SpeakerSettings, WithheldReason};

use super::object::listed;
use crate::facts::WhyFacts;
use crate::link::{Cause, ChainLink, LinkName};
use crate::target::{TargetVip, WhySubject};

/// What the objects say about the advertisement of a VIP, whatever the state of sessions and nodes.
pub(super) struct Advertised {
    /// The peers of each node that advertises it.
    pub(super) bgp: BTreeMap<NodeName, Vec<String>>,
    /// The nodes that may announce it on the local network.
    pub(super) layer2: BTreeSet<NodeName>,
    /// Why nodes do not advertise it.
    withheld: BTreeMap<NodeName, WithheldReason>,
    /// Whether any node has no peer for it.
    has_no_peer: bool,
    /// The L2Advertisements of its pool.
    of_pool: L2Selection,
}

/// How the L2Advertisements select a VIP.
#[derive(Default)]
struct L2Selection {
    /// Any selects the pool.
    pool: bool,
    /// Any that selects the pool selects the Service, too.
    service: bool,
}

impl Advertised {
    pub(super) fn of(facts: &WhyFacts<'_>, subject: &WhySubject, vip: TargetVip) -> Self {
        let model = &facts.cluster.model;
        let mut advertised = Self {
            bgp: BTreeMap::new(),
            layer2: BTreeSet::new(),
            withheld: BTreeMap::new(),
            has_no_peer: false,
            of_pool: L2Selection::default(),
        };
        let Some(service) = model.services.get(&subject.service) else { return advertised };
        // Only this Service: a plan for each node would otherwise be made of all of them.
        let services = BTreeMap::from([(subject.service.clone(), std::sync::Arc::clone(service))]);
        let only_it = Model {
            pools: model.pools.clone(),
            services,
            nodes: model.nodes.clone(),
            l2_advertisements: Vec::new(),
            bgp: model.bgp.clone(),
            drain: model.drain.clone(),
            addresses: model.addresses,
        };
        for name in model.nodes.keys() {
            let is_own = name == facts.node;
            let settings = SpeakerSettings {
                withdrawn: is_own && facts.cluster.speaker.withdrawn,
                ..facts.cluster.speaker
            };
            let Some(plan) = speaker::plan(&only_it, name, &settings) else { continue };
            match plan.services.get(&subject.service) {
                Some(ServiceAdvertisement::Withheld(reason)) => {
                    advertised.withheld.insert(name.clone(), *reason);
                }
                Some(ServiceAdvertisement::To(peers)) => {
                    let takes = |peer: &&String| {
                        plan.peers.get(*peer).is_some_and(|it| it.session.takes(vip.address.is_ipv4()))
                    };
                    let peers: Vec<_> = peers.iter().filter(takes).cloned().collect();
                    if peers.is_empty() {
                        advertised.has_no_peer = true;
                    } else {
                        advertised.bgp.insert(name.clone(), peers);
                    }
                }
                None => {}
            }
        }
        advertised.add_layer2(facts, service, vip);
        advertised
    }

    fn add_layer2(&mut self, facts: &WhyFacts<'_>, service: &Service, vip: TargetVip) {
        let model = &facts.cluster.model;
        let Some((name, pool)) = model.pools.of(vip.address) else { return };
        let of_pool = |it: &&L2Advertisement| it.selects_pool(name, pool);
        for advertisement in model.l2_advertisements.iter().filter(of_pool) {
            self.of_pool.pool = true;
            if !advertisement.selects_services(&[&service.labels]) {
                continue;
            }
            self.of_pool.service = true;
            let nodes = model.nodes.iter().filter(|(_, node)| {
                advertisement.selects_node(node)
                    && exclusion(node, facts.cluster.speaker.ignore_exclude_label).is_none()
            });
            self.layer2.extend(nodes.map(|(name, _)| name.clone()));
        }
    }

    /// Returns whether anything leads packets for the VIP to the cluster.
    fn is_any(&self) -> bool {
        !self.bgp.is_empty() || !self.layer2.is_empty()
    }

    /// Returns the link of the advertisement.
    pub(super) fn link(&self, facts: &WhyFacts<'_>, vip: TargetVip) -> ChainLink {
        if !self.is_any() {
            return self.nothing(facts, vip);
        }
        let mut parts = Vec::new();
        if !self.bgp.is_empty() {
            let names: Vec<_> = self.bgp.keys().map(ToString::to_string).collect();
            parts.push(format!("by BGP from {}", listed(&names)));
        }
        if !self.layer2.is_empty() {
            let names: Vec<_> = self.layer2.iter().map(ToString::to_string).collect();
            parts.push(format!("on the local network by one of {}", listed(&names)));
        }
        let mut fact = parts.join("; ");
        if let Some(reason) = self.withheld.get(facts.node).filter(|_| !self.bgp.is_empty()) {
            fact += &format!("; not by this node: {reason}");
        }
        ChainLink::ok(LinkName::Advertisement, fact)
    }

    fn nothing(&self, facts: &WhyFacts<'_>, vip: TargetVip) -> ChainLink {
        let model = &facts.cluster.model;
        let broken = |cause, fact: String, advice: &str| {
            ChainLink::broken(LinkName::Advertisement, cause, fact, advice)
        };
        if let Some(excluded) = self.all_excluded(model, facts) {
            return excluded;
        }
        if self.has_no_peer {
            return broken(
                Cause::NoPeer,
                "no BGPPeer of any node is selected by the BGPAdvertisements of its pool".to_owned(),
                "check spec.peers of the BGPAdvertisement, and spec.nodeSelectors of the BGPPeers",
            );
        }
        let Some(reason) = self.withheld.values().max().copied() else {
            return broken(
                Cause::NoAdvertisement,
                format!("nothing advertises {}: no Node is known", vip.address),
                "check that the Node objects are readable",
            );
        };
        match reason {
            WithheldReason::NotOwner if self.of_pool.pool || selects_pool_by_bgp(model, vip) => {
                let (what, why) = if self.of_pool.pool && !self.of_pool.service {
                    ("L2Advertisement", "select neither this Service by its labels")
                } else {
                    ("advertisement", "select no node")
                };
                broken(
                    Cause::WrongSelector,
                    format!("the {what}s of its pool {why} (spec.serviceSelectors, spec.nodeSelectors)"),
                    "correct the selectors, or the labels of the Service or the Nodes",
                )
            }
            WithheldReason::NotOwner => broken(
                Cause::NoAdvertisement,
                "no BGPAdvertisement or L2Advertisement selects its pool".to_owned(),
                "create one, with the pool in spec.ipAddressPools",
            ),
            WithheldReason::NoMatchingAdvertisement => broken(
                Cause::WrongSelector,
                format!("{reason}: spec.serviceSelectors does not match its labels"),
                "correct spec.serviceSelectors, or the labels of the Service",
            ),
            WithheldReason::ConflictingAdvertisements => {
                broken(Cause::InvalidObject, reason.to_string(), "set the same localPref in both")
            }
            WithheldReason::NodeNetworkUnavailable | WithheldReason::NodeLabeledExcludeBalancers => broken(
                Cause::NodesExcluded,
                format!("no node may advertise it; on this or another node: {reason}"),
                "remove the label or the condition, or select other nodes",
            ),
            WithheldReason::NoLocalEndpoints | WithheldReason::NoEndpoints => broken(
                Cause::NoReadyEndpoint,
                reason.to_string(),
                "check the pods and their readiness probes: `kubectl get pods`",
            ),
            WithheldReason::NotReady => broken(
                Cause::NotReady,
                reason.to_string(),
                "see `fairlead status`; `fairlead doctor` checks the node",
            ),
        }
    }

    /// Returns a broken link if every node is excluded from load balancing.
    fn all_excluded(&self, model: &Model, facts: &WhyFacts<'_>) -> Option<ChainLink> {
        let ignored = facts.cluster.speaker.ignore_exclude_label;
        let mut excluded = model.nodes.values().map(|node| exclusion(node, ignored));
        let first = excluded.next()??;
        if !excluded.all(|it| it.is_some()) {
            return None;
        }
        Some(ChainLink::broken(
            LinkName::Advertisement,
            Cause::NodesExcluded,
            format!("every node is excluded from load balancing, by {}", first.as_str()),
            "remove it from the nodes that are to serve, or start all agents with --ignore-exclude-lb",
        ))
    }
}

fn selects_pool_by_bgp(model: &Model, vip: TargetVip) -> bool {
    let Some((name, pool)) = model.pools.of(vip.address) else { return false };
    model.bgp.advertisements.iter().any(|it| it.selects_pool(name, pool))
}
