//! The routes of each peer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use lb_bgp::value::{Attributes, Community};

use super::context::{Speaker, Told};
use super::silence::Silence;
use lb_model::{BgpAdvertisement, ServiceName};

/// Prefixes, and what is said about each.
pub type Routes = BTreeMap<IpNet, Attributes>;

/// What decides the routes of a peer: those with the same share a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Taste<'a> {
    takes_v4: bool,
    takes_v6: bool,
    /// The advertisements that are for it.
    by: BTreeSet<(&'a str, &'a str)>,
}

/// The table of each peer, by its name.
pub(super) fn tables<'a>(
    speaker: &Speaker<'a>,
    told: &[(&ServiceName, Result<Vec<Told<'a>>, Silence>)],
) -> BTreeMap<&'a str, Arc<Routes>> {
    let mut by_taste: BTreeMap<Taste<'a>, Arc<Routes>> = BTreeMap::new();
    let mut tables = BTreeMap::new();
    for (name, peer) in &speaker.peers {
        let for_it = speaker.model.bgp.advertisements.iter().filter(|it| it.selects_peer(name));
        let taste = Taste {
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
    speaker: &Speaker<'_>,
    told: &[(&ServiceName, Result<Vec<Told<'a>>, Silence>)],
    taste: &Taste<'a>,
) -> Routes {
    let mut routes = Routes::new();
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

fn announced(speaker: &Speaker<'_>) -> Attributes {
    let leaving = speaker.settings.draining.then_some(Community::GRACEFUL_SHUTDOWN);
    Attributes { communities: leaving.into_iter().collect(), ..Attributes::default() }
}
