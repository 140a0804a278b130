//! The routes of each peer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use lb_bgp::value::{Attributes, Community};

use super::context::{AdvertisedAddress, SpeakerContext};
use super::withheld::WithheldReason;
use lb_model::{BgpAdvertisement, ServiceName};

/// Prefixes, and what is said about each.
pub type RouteTable = BTreeMap<IpNet, Attributes>;

/// What decides the routes of a peer: those with the same share a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RoutePolicy<'a> {
    takes_v4: bool,
    takes_v6: bool,
    /// The advertisements that are for it.
    by: BTreeSet<(&'a str, &'a str)>,
}

/// The table of each peer, by its name.
pub(super) fn tables<'a>(
    speaker: &SpeakerContext<'a>,
    told: &[(&ServiceName, Result<Vec<AdvertisedAddress<'a>>, WithheldReason>)],
) -> BTreeMap<&'a str, Arc<RouteTable>> {
    let mut by_taste: BTreeMap<RoutePolicy<'a>, Arc<RouteTable>> = BTreeMap::new();
    let mut tables = BTreeMap::new();
    for (name, peer) in &speaker.peers {
        let for_it = speaker.model.bgp.advertisements.iter().filter(|it| it.selects_peer(name));
        let taste = RoutePolicy {
            takes_v4: peer.takes(true),
            takes_v6: peer.takes(false),
            by: for_it.map(BgpAdvertisement::key).collect(),
        };
        let table = match by_taste.get(&taste) {
            Some(table) => Arc::clone(table),
            None => Arc::new(table(speaker, told, &taste)),
        };
        by_taste.insert(taste, Arc::clone(&table));
        tables.insert(name.as_str(), table);
    }
    tables
}

fn table<'a>(
    speaker: &SpeakerContext<'_>,
    told: &[(&ServiceName, Result<Vec<AdvertisedAddress<'a>>, WithheldReason>)],
    taste: &RoutePolicy<'a>,
) -> RouteTable {
    let mut routes = RouteTable::new();
    let all = told.iter().filter_map(|(_, told)| told.as_ref().ok()).flatten();
    for told in all.filter(|told| if told.address.is_ipv4() { taste.takes_v4 } else { taste.takes_v6 }) {
        for by in told.by.iter().filter(|by| taste.by.contains(&by.key())) {
            let route = routes.entry(by.prefix(told.address)).or_insert_with(|| announced(speaker));
            // Several advertisements of one prefix say all that each says. They agree on the preference where they
            // are of one pool; where pools share a prefix, the choice must not depend on which Service comes first.
            route.local_pref = route.local_pref.max(by.local_pref);
            route.communities.extend(&by.communities);
            route.large_communities.extend(&by.large_communities);
        }
    }
    routes
}

fn announced(speaker: &SpeakerContext<'_>) -> Attributes {
    let leaving = speaker.settings.draining.then_some(Community::GRACEFUL_SHUTDOWN);
    Attributes { communities: leaving.into_iter().collect(), ..Attributes::default() }
}
