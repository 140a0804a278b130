//! What routers are told of which pools.

mod aggregation;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use lb_bgp::value::{Community, LargeCommunity};

use super::Judge;
use super::community::{Aliases, AnyCommunity, resolve};
use crate::node::Node;
use crate::pool::{Pool, Pools};
use crate::standing::Standing;
use crate::{NodeName, PoolName};
use lb_api::objects::{BgpAdvertisementSpec, LabelSelector, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// A BGPAdvertisement.
#[derive(Clone, Debug, PartialEq)]
pub struct BgpAdvertisement {
    /// Namespace of its object.
    pub namespace: String,
    /// Name of its object.
    pub name: String,
    /// Length of IPv4 prefixes: 0 to 32.
    pub aggregation_v4: u8,
    /// Length of IPv6 prefixes: 0 to 128.
    pub aggregation_v6: u8,
    /// LOCAL_PREF; `None`: the speaker's own choice.
    pub local_pref: Option<u32>,
    /// Communities.
    pub communities: BTreeSet<Community>,
    /// Large communities.
    pub large_communities: BTreeSet<LargeCommunity>,
    pools: BTreeSet<String>,
    pool_selectors: Vec<LabelSelector>,
    node_selectors: Vec<LabelSelector>,
    peers: BTreeSet<String>,
    service_selectors: Vec<LabelSelector>,
}

/// Labels of an object.
type Labels = BTreeMap<String, String>;

impl BgpAdvertisement {
    /// What tells it from others.
    pub fn key(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    /// Whether it announces a pool: by name or by label, or any if it names neither.
    pub fn selects_pool(&self, name: &PoolName, pool: &Pool) -> bool {
        let all = self.pools.is_empty() && self.pool_selectors.is_empty();
        all || self.pools.contains(&name.name) || any(&self.pool_selectors, &pool.labels)
    }

    /// Whether a node announces by it.
    pub fn selects_node(&self, node: &Node) -> bool {
        self.node_selectors.is_empty() || any(&self.node_selectors, &node.labels)
    }

    /// Whether it is for a Service with these labels.
    pub fn selects_service(&self, labels: &Labels) -> bool {
        self.service_selectors.is_empty() || any(&self.service_selectors, labels)
    }

    /// Whether a peer is told.
    pub fn selects_peer(&self, name: &str) -> bool {
        self.peers.is_empty() || self.peers.contains(name)
    }

    /// Whether it chooses among Services.
    pub fn chooses_services(&self) -> bool {
        !self.service_selectors.is_empty()
    }

    /// The prefix that an address is announced by.
    pub fn prefix(&self, address: IpAddr) -> IpNet {
        let length = if address.is_ipv4() { self.aggregation_v4 } else { self.aggregation_v6 };
        IpNet::new(address, length).map_or_else(|_| IpNet::from(address), |net| net.trunc())
    }

    /// Whether the two would tell one router of one prefix two local preferences, for addresses of this version.
    pub fn contradicts(&self, other: &Self, is_ipv4: bool) -> bool {
        let length = |it: &Self| if is_ipv4 { it.aggregation_v4 } else { it.aggregation_v6 };
        let share_peers =
            self.peers.is_empty() || other.peers.is_empty() || !self.peers.is_disjoint(&other.peers);
        length(self) == length(other) && share_peers && self.local_pref != other.local_pref
    }
}

fn any(selectors: &[LabelSelector], labels: &Labels) -> bool {
    selectors.iter().any(|selector| selector.matches(labels))
}

/// What an advertisement is judged against.
pub(super) struct Context<'a> {
    pub(super) aliases: &'a Aliases,
    pub(super) pools: &'a Pools,
    pub(super) nodes: &'a BTreeMap<NodeName, Node>,
}

/// The advertisements, in the order of their namespaces and names.
pub(super) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    context: &Context<'_>,
    before: &[BgpAdvertisement],
    problems: &mut Vec<Problem>,
) -> Vec<BgpAdvertisement> {
    let mut candidates = Vec::new();
    for object in objects {
        let Object::BgpAdvertisement(written) = &object.value else { continue };
        let now = read(object, &written.spec, context, &mut Judge::of(object, problems));
        let former = before.iter().find(|former| {
            former.name == written.metadata.name
                && Some(former.namespace.as_str()) == object.value.namespace()
        });
        candidates.push((Standing::of(former, now.as_ref()), object, now, former));
    }
    candidates.sort_by_key(|(standing, ..)| *standing);
    let mut accepted = Vec::new();
    for (_, object, now, former) in candidates {
        let mut judge = Judge::of(object, problems);
        let now = now.and_then(|now| match clash(&now, &accepted, context) {
            Some((field, reason)) => {
                judge.refuse(field, reason);
                None
            }
            None => Some(now),
        });
        let former = former.filter(|former| clash(former, &accepted, context).is_none());
        accepted.extend(now.or_else(|| judge.former(former)));
    }
    accepted.sort_by(|one, other| one.key().cmp(&other.key()));
    accepted
}

/// Why an advertisement cannot stand beside those that are accepted, and at which field. One that says the same as
/// another can: two owners may want the same.
fn clash(
    new: &BgpAdvertisement,
    accepted: &[BgpAdvertisement],
    context: &Context<'_>,
) -> Option<(&'static str, Reason)> {
    let other = accepted.iter().find(|other| contradict(other, new, context))?;
    Some(("spec.localPref", Reason::LocalPrefConflict { other: other.name.clone() }))
}

/// Two that both take all Services of a pool, on a node, must not contradict each other; of those that choose
/// among Services, each Service is judged.
fn contradict(one: &BgpAdvertisement, other: &BgpAdvertisement, context: &Context<'_>) -> bool {
    if one.chooses_services() || other.chooses_services() {
        return false;
    }
    let share_node = (one.node_selectors.is_empty() && other.node_selectors.is_empty())
        || context.nodes.values().any(|node| one.selects_node(node) && other.selects_node(node));
    let shared = context
        .pools
        .iter()
        .filter(|(name, pool)| one.selects_pool(name, pool) && other.selects_pool(name, pool));
    let mut families = shared.flat_map(|(_, pool)| pool.ranges.iter().map(|range| range.start().is_ipv4()));
    share_node && families.any(|is_ipv4| one.contradicts(other, is_ipv4))
}

fn read(
    object: &Sourced<Object>,
    spec: &BgpAdvertisementSpec,
    context: &Context<'_>,
    judge: &mut Judge<'_>,
) -> Option<BgpAdvertisement> {
    judge.lists();
    let v4 = aggregation::length(spec.aggregation_length, 32);
    let v4 = judge.value("spec.aggregationLength", v4);
    let v6 = aggregation::length(spec.aggregation_length_v6, 128);
    let v6 = judge.value("spec.aggregationLengthV6", v6);
    let (communities, large_communities) = communities(spec, context.aliases, judge);
    let advertisement = BgpAdvertisement {
        namespace: object.value.namespace().unwrap_or_default().to_owned(),
        name: object.value.metadata().name.clone(),
        aggregation_v4: v4?,
        aggregation_v6: v6?,
        local_pref: spec.local_pref.filter(|preference| *preference != 0),
        communities,
        large_communities,
        pools: spec.ip_address_pools.iter().cloned().collect(),
        pool_selectors: spec.ip_address_pool_selectors.clone(),
        node_selectors: spec.node_selectors.clone(),
        peers: spec.peers.iter().cloned().collect(),
        service_selectors: spec.service_selectors.clone(),
    };
    aggregation::judge(&advertisement, context.pools, judge);
    judge.sound.then_some(advertisement)
}

fn communities(
    spec: &BgpAdvertisementSpec,
    aliases: &Aliases,
    judge: &mut Judge<'_>,
) -> (BTreeSet<Community>, BTreeSet<LargeCommunity>) {
    let (mut plain, mut large) = (BTreeSet::new(), BTreeSet::new());
    for (i, written) in spec.communities.iter().enumerate() {
        match judge.value(&format!("spec.communities[{i}]"), resolve(written, aliases)) {
            Some(AnyCommunity::Plain(community)) => drop(plain.insert(community)),
            Some(AnyCommunity::Large(community)) => drop(large.insert(community)),
            None => {}
        }
    }
    (plain, large)
}
