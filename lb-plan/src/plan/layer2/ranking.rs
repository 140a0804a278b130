//! The ranks of each address: its candidates, by preference and by rendezvous hashing.
//!
//! Of the most preferred candidates, the one that the address is [distributed](super::spread) to comes first,
//! then the others by their scores. The ranks follow from names, preferences and addresses alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::sync::Arc;

use lb_common::maps::RANKS;
use lb_common::ring::NodeIndex;

use super::candidates::{Candidate, Candidates};
use super::spread::{self, Proposer};
use crate::contents::MergeCursor;
use crate::ring::seed;
use lb_model::NodeName;

/// Nodes by rank, as many as an entry holds.
pub(super) type Ranks = Arc<[(NodeName, NodeIndex)]>;

/// The rankings of the last plan, by their candidates, on which they depend besides the addresses.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct RankCache(BTreeMap<Arc<[Candidate]>, Ranking>);

/// The ranks of all addresses with the same candidates.
#[derive(Clone, Debug, Default)]
struct Ranking(BTreeMap<IpAddr, Ranked>);

#[derive(Clone, Debug)]
struct Ranked {
    /// Positions of the best candidates by preference and score alone.
    favorites: Vec<usize>,
    /// Position of the first.
    first: usize,
    ranks: Ranks,
}

impl RankCache {
    /// Returns the ranks of all addresses, in their order.
    pub(super) fn rank(&mut self, candidates: &Candidates<'_>) -> Vec<Ranks> {
        let mut places = vec![Vec::new(); candidates.lists.len()];
        for (place, it) in candidates.addresses.iter().enumerate() {
            places[candidates.groups[it.group].list].push(place);
        }
        let mut before = std::mem::take(&mut self.0);
        let mut ranks: Vec<Ranks> = vec![Arc::default(); candidates.addresses.len()];
        for (list, places) in candidates.lists.iter().zip(places) {
            let addresses: Vec<IpAddr> =
                places.iter().map(|place| candidates.addresses[*place].address).collect();
            let ranking = before.remove(list).unwrap_or_default().updated(list, &addresses);
            for (place, ranked) in places.into_iter().zip(ranking.0.values()) {
                ranks[place] = Arc::clone(&ranked.ranks);
            }
            self.0.insert(Arc::clone(list), ranking);
        }
        ranks
    }
}

impl Ranking {
    /// Returns the ranking of these addresses, which are in order. The candidates have not changed.
    fn updated(self, candidates: &[Candidate], addresses: &[IpAddr]) -> Self {
        if self.0.keys().eq(addresses) {
            return self;
        }
        let mut before = MergeCursor::new(&self.0);
        let before: Vec<Option<&Ranked>> = addresses.iter().map(|address| before.get(address)).collect();
        let favorites: Vec<Vec<usize>> = addresses
            .iter()
            .zip(&before)
            .map(|(it, before)| before.map_or_else(|| favorites(candidates, *it), |it| it.favorites.clone()))
            .collect();
        let firsts = distribute(candidates, addresses, &favorites);
        let ranked = addresses.iter().zip(before).zip(favorites).zip(firsts);
        let entries = ranked.map(|(((address, before), favorites), first)| {
            let kept = before.filter(|before| before.first == first).map(|it| Arc::clone(&it.ranks));
            let ranks = kept.unwrap_or_else(|| ranks(candidates, first, &favorites));
            (*address, Ranked { favorites, first, ranks })
        });
        Self(entries.collect())
    }
}

/// Distributes addresses among the most preferred candidates.
fn distribute(candidates: &[Candidate], addresses: &[IpAddr], favorites: &[Vec<usize>]) -> Vec<usize> {
    let most = candidates.first().map(|it| it.preference);
    let best = candidates.iter().take_while(|it| Some(it.preference) == most);
    let nodes: Vec<u64> = best.map(|it| it.seed).collect();
    let proposers: Vec<Proposer<'_>> = addresses
        .iter()
        .zip(favorites)
        .map(|(address, favorites)| {
            let most_preferred = favorites.partition_point(|place| *place < nodes.len());
            Proposer { seed: address_seed(*address), favorites: &favorites[..most_preferred] }
        })
        .collect();
    spread::distribute(&proposers, &nodes)
}

/// What ranks a candidate for an address: the lowest comes first. Candidates are ordered by preference, then
/// by name; the first name wins a tie.
fn order(candidate: &Candidate, place: usize, address: u64) -> (Reverse<u64>, Reverse<u64>, usize) {
    (Reverse(candidate.preference), Reverse(spread::score(candidate.seed, address)), place)
}

/// Returns the positions of the best candidates in their order, as many as an entry has ranks.
fn favorites(candidates: &[Candidate], address: IpAddr) -> Vec<usize> {
    let address = address_seed(address);
    let mut best = BinaryHeap::with_capacity(RANKS);
    for (place, candidate) in candidates.iter().enumerate() {
        let order = order(candidate, place, address);
        if best.len() < RANKS {
            best.push(order);
        } else if let Some(mut worst) = best.peek_mut()
            && order < *worst
        {
            *worst = order;
        }
    }
    best.into_sorted_vec().into_iter().map(|(.., place)| place).collect()
}

fn ranks(candidates: &[Candidate], first: usize, favorites: &[usize]) -> Ranks {
    let others = favorites.iter().copied().filter(|place| *place != first);
    let places = std::iter::once(first).chain(others).take(RANKS);
    places.filter_map(|place| candidates.get(place)).map(named).collect()
}

fn named(candidate: &Candidate) -> (NodeName, NodeIndex) {
    (candidate.name.clone(), candidate.index)
}

/// Returns the ranks that an entry holds. If all of them are `idle`, so that no node might announce, the best
/// candidate that is not takes the last place.
pub(super) fn window(
    ranks: Ranks,
    address: IpAddr,
    candidates: &[Candidate],
    idle: &BTreeSet<NodeIndex>,
) -> Ranks {
    if candidates.len() <= RANKS || ranks.iter().any(|(_, node)| !idle.contains(node)) {
        return ranks;
    }
    let address = address_seed(address);
    let others = candidates.iter().enumerate().filter(|(_, candidate)| !idle.contains(&candidate.index));
    let Some((_, best)) = others.min_by_key(|(place, it)| order(it, *place, address)) else { return ranks };
    ranks.iter().take(RANKS - 1).cloned().chain([named(best)]).collect()
}

fn address_seed(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => seed(&address.octets()),
        IpAddr::V6(address) => seed(&address.octets()),
    }
}
