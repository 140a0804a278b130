//! The routes of each peer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use lb_bgp::value::{Attributes, StandardCommunity};

use super::context::{AdvertisedAddress, SpeakerContext};
use super::withheld::WithheldReason;
use lb_model::{BgpAdvertisement, ServiceName};

/// Prefixes with their path attributes.
pub type RouteTable = BTreeMap<IpNet, Attributes>;

/// What determines the routes of a peer: peers with equal policies share a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RoutePolicy<'a> {
    takes_v4: bool,
    takes_v6: bool,
    /// The advertisements that select it.
    by: BTreeSet<(&'a str, &'a str)>,
}

/// Returns the table of each peer, by its name.
pub(super) fn tables<'a>(
    speaker: &SpeakerContext<'a>,
    advertised: &[(&ServiceName, Result<Vec<AdvertisedAddress<'a>>, WithheldReason>)],
) -> BTreeMap<&'a str, Arc<RouteTable>> {
    let mut by_policy: BTreeMap<RoutePolicy<'a>, Arc<RouteTable>> = BTreeMap::new();
    let mut tables = BTreeMap::new();
    for (name, peer) in &speaker.peers {
        let for_it = speaker.model.bgp.advertisements.iter().filter(|it| it.selects_peer(name));
        let policy = RoutePolicy {
            takes_v4: peer.takes(true),
            takes_v6: peer.takes(false),
            by: for_it.map(BgpAdvertisement::key).collect(),
        };
        let table = match by_policy.get(&policy) {
            Some(table) => Arc::clone(table),
            None => Arc::new(table(speaker, advertised, &policy)),
        };
        by_policy.insert(policy, Arc::clone(&table));
        tables.insert(name.as_str(), table);
    }
    tables
}

fn table<'a>(
    speaker: &SpeakerContext<'_>,
    advertised: &[(&ServiceName, Result<Vec<AdvertisedAddress<'a>>, WithheldReason>)],
    policy: &RoutePolicy<'a>,
) -> RouteTable {
    let mut routes = RouteTable::new();
    let all = advertised.iter().filter_map(|(_, advertised)| advertised.as_ref().ok()).flatten();
    for advertised in
        all.filter(|advertised| if advertised.address.is_ipv4() { policy.takes_v4 } else { policy.takes_v6 })
    {
        for by in advertised.by.iter().filter(|by| policy.by.contains(&by.key())) {
            let route = routes.entry(by.prefix(advertised.address)).or_insert_with(|| attributes(speaker));
            // Advertisements of one prefix add up. They agree on the local preference if they are of one
            // pool; if pools share a prefix, the result must not depend on the order of Services.
            route.local_pref = route.local_pref.max(by.local_pref);
            route.communities.extend(&by.communities);
            route.large_communities.extend(&by.large_communities);
        }
    }
    routes
}

fn attributes(speaker: &SpeakerContext<'_>) -> Attributes {
    let leaving = speaker.settings.draining.then_some(StandardCommunity::GRACEFUL_SHUTDOWN);
    Attributes { communities: leaving.into_iter().collect(), ..Attributes::default() }
}
