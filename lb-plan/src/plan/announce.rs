//! Who answers ARP for each IPv4 VIP.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_common::maps::{Announcer, capacity, name};
use lb_common::ring::NodeIndex;

use super::lan;
use super::nodes::Roster;
use super::room::Room;
use super::settings::{Facts, Settings};
use crate::contents::Contents;
use crate::model::{Model, NodeName, Pool, PoolName};
use crate::ring::{mix, seed};
use lb_api::problem::{Problem, Reason};

/// A node that may announce.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    name: &'a NodeName,
    index: NodeIndex,
    seed: u64,
}

/// Writes who answers for the IPv4 addresses that have a VIP, and returns the nodes' names.
///
/// One node answers for an address, chosen by its name and the address alone, so every node chooses the same
/// one; a node that drains does only where all that may do. It has no successor yet: while it is down, nobody
/// answers. A node that cannot carry packets does not answer either.
pub(super) fn announce(
    contents: &mut Contents,
    model: &Model,
    roster: &Roster<'_>,
    settings: &Settings,
    facts: &Facts,
    installed: &Contents,
    problems: &mut Vec<Problem>,
) -> BTreeMap<IpAddr, NodeName> {
    let candidates = candidates(model, roster, settings);
    let mut announcers = BTreeMap::new();
    if candidates.values().all(Vec::is_empty) {
        return announcers;
    }
    let mut room = Room::new(&mut contents.arp, &installed.arp, capacity::ARP);
    for key in contents.vips.keys().filter(|key| key.is_address()) {
        let IpAddr::V4(address) = key.address else { continue };
        let of_pool = model.pools.of(key.address).and_then(|(pool, _)| candidates.get(pool));
        let Some(best) = of_pool.and_then(|candidates| best(candidates, address.octets())) else { continue };
        let is_own = best.name == roster.own();
        if is_own && facts.withdrawn {
            continue;
        }
        let uplinks = if is_own { lan::answering(&facts.uplinks, address) } else { u64::MAX };
        if room.insert(address, Announcer::on(best.index, uplinks)) {
            announcers.insert(key.address, best.name.clone());
        } else {
            problems.push(Problem::general(Reason::MapFull { map: name::ARP, capacity: capacity::ARP }));
        }
    }
    announcers
}

/// Rendezvous hashing; a tie goes to the first name.
fn best<'a>(candidates: &[Candidate<'a>], address: [u8; 4]) -> Option<Candidate<'a>> {
    let key = seed(&address);
    let best_first = |a: &&Candidate<'a>, b: &&Candidate<'a>| {
        mix(b.seed ^ key).cmp(&mix(a.seed ^ key)).then_with(|| a.name.cmp(b.name))
    };
    candidates.iter().min_by(best_first).copied()
}

/// The nodes that may announce the addresses of each pool.
fn candidates<'a>(
    model: &'a Model,
    roster: &Roster<'a>,
    settings: &Settings,
) -> BTreeMap<&'a PoolName, Vec<Candidate<'a>>> {
    let of = |name: &PoolName, pool: &Pool| candidates_of(name, pool, model, roster, settings);
    model.pools.iter().map(|(name, pool)| (name, of(name, pool))).collect()
}

fn candidates_of<'a>(
    name: &PoolName,
    pool: &Pool,
    model: &Model,
    roster: &Roster<'a>,
    settings: &Settings,
) -> Vec<Candidate<'a>> {
    let of_pool: Vec<_> = model
        .l2_advertisements
        .iter()
        .filter(|advertisement| advertisement.selects_pool(name, pool))
        .collect();
    let may = |node| of_pool.iter().any(|advertisement| advertisement.selects_node(node));
    let nodes = roster
        .nodes()
        .filter(|(_, node, _)| (settings.ignore_exclude_label || node.may_announce()) && may(node));
    let candidate = |(name, _, index): (&'a NodeName, _, _)| Candidate {
        name,
        index,
        seed: seed(name.as_str().as_bytes()),
    };
    let (draining, others): (Vec<_>, Vec<_>) =
        nodes.map(candidate).partition(|candidate| roster.is_draining(candidate.name));
    // What drains is about to go, and the address would have to follow then.
    if others.is_empty() { draining } else { others }
}
