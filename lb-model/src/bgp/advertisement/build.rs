//! Builds advertisements from their objects.

use std::collections::{BTreeMap, BTreeSet};

use lb_api::objects::{BgpAdvertisementSpec, Object, Sourced};
use lb_api::problem::{BgpReason, Problem};
use lb_bgp::value::{LargeCommunity, StandardCommunity};

use super::{BgpAdvertisement, aggregation};
use crate::bgp::check::ObjectCheck;
use crate::bgp::community::{Aliases, AnyCommunity, resolve};
use crate::name::NodeName;
use crate::node::Node;
use crate::pool::Pools;
use crate::precedence::Precedence;

/// The context of validation.
pub(in crate::bgp) struct Context<'a> {
    pub(in crate::bgp) aliases: &'a Aliases,
    pub(in crate::bgp) pools: &'a Pools,
    pub(in crate::bgp) nodes: &'a BTreeMap<NodeName, Node>,
}

/// Builds the advertisements, ordered by namespace and name.
pub(in crate::bgp) fn build<'a>(
    objects: impl Iterator<Item = &'a Sourced<Object>>,
    context: &Context<'_>,
    before: &[BgpAdvertisement],
    problems: &mut Vec<Problem>,
) -> Vec<BgpAdvertisement> {
    let mut candidates = Vec::new();
    for object in objects {
        let Object::BgpAdvertisement(written) = &object.value else { continue };
        let now = read(object, &written.spec, context, &mut ObjectCheck::of(object, problems));
        let former = before.iter().find(|former| {
            former.name == written.metadata.name
                && Some(former.namespace.as_str()) == object.value.namespace()
        });
        candidates.push((Precedence::of(former, now.as_ref()), object, now, former));
    }
    candidates.sort_by_key(|(precedence, ..)| *precedence);
    let mut accepted = Vec::new();
    for (_, object, now, former) in candidates {
        let mut check = ObjectCheck::of(object, problems);
        let now = now.and_then(|now| match clash(&now, &accepted, context) {
            Some((field, reason)) => {
                check.refuse(field, reason);
                None
            }
            None => Some(now),
        });
        let former = former.filter(|former| clash(former, &accepted, context).is_none());
        accepted.extend(now.or_else(|| check.former(former)));
    }
    accepted.sort_by(|one, other| one.key().cmp(&other.key()));
    accepted
}

/// Returns the conflict of an advertisement with valid ones, and its field. Equal advertisements do not
/// conflict: two owners may want the same.
fn clash(
    new: &BgpAdvertisement,
    accepted: &[BgpAdvertisement],
    context: &Context<'_>,
) -> Option<(&'static str, BgpReason)> {
    let other = accepted.iter().find(|other| contradict(other, new, context))?;
    Some(("spec.localPref", BgpReason::LocalPrefConflict { other: other.name.clone() }))
}

/// Returns whether two advertisements of all Services of a pool, on a common node, contradict each other;
/// those with Service selectors are checked for each Service.
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
    check: &mut ObjectCheck<'_>,
) -> Option<BgpAdvertisement> {
    check.lists();
    let v4 = aggregation::length(spec.aggregation_length, 32);
    let v4 = check.value("spec.aggregationLength", v4);
    let v6 = aggregation::length(spec.aggregation_length_v6, 128);
    let v6 = check.value("spec.aggregationLengthV6", v6);
    let (communities, large_communities) = communities(spec, context.aliases, check);
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
    aggregation::check(&advertisement, context.pools, check);
    check.sound.then_some(advertisement)
}

fn communities(
    spec: &BgpAdvertisementSpec,
    aliases: &Aliases,
    check: &mut ObjectCheck<'_>,
) -> (BTreeSet<StandardCommunity>, BTreeSet<LargeCommunity>) {
    let (mut plain, mut large) = (BTreeSet::new(), BTreeSet::new());
    for (i, written) in spec.communities.iter().enumerate() {
        match check.value(&format!("spec.communities[{i}]"), resolve(written, aliases)) {
            Some(AnyCommunity::Plain(community)) => drop(plain.insert(community)),
            Some(AnyCommunity::Large(community)) => drop(large.insert(community)),
            None => {}
        }
    }
    (plain, large)
}
