//! The even distribution of addresses over the nodes that may announce them.
//!
//! Each address prefers nodes by rendezvous hashing, and each node accepts as many addresses as its share and
//! a tenth, those that score best (deferred acceptance). The result is unique, so it needs no history and no
//! order, and a change of one node or address moves few others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ring::mix;

/// A share may be exceeded by a tenth: rendezvous hashing alone gives the fullest of five nodes 1.3 times the
/// mean of a hundred addresses.
const SLACK: f64 = 1.1;

/// Returns the score of a node for an address, by their seeds; the highest wins.
pub(super) fn score(node: u64, address: u64) -> u64 {
    mix(node ^ address)
}

/// An address that prefers nodes.
#[derive(Clone, Copy)]
pub(super) struct Proposer<'a> {
    pub(super) seed: u64,
    /// Positions of nodes: the first ones of its order of preference, so that they need not be searched.
    pub(super) favorites: &'a [usize],
}

/// Returns for each address the position of its node. Without nodes, returns nothing.
pub(super) fn distribute(addresses: &[Proposer<'_>], nodes: &[u64]) -> Vec<usize> {
    if nodes.is_empty() {
        return Vec::new();
    }
    let capacity = capacity(addresses.len(), nodes.len());
    let accepted = vec![BinaryHeap::new(); nodes.len()];
    let mut rounds = Rounds { addresses, nodes, capacity, made: vec![0; addresses.len()], accepted };
    (0..addresses.len()).for_each(|address| rounds.place(address));
    let mut chosen = vec![0; addresses.len()];
    for (node, accepted) in rounds.accepted.iter().enumerate() {
        accepted.iter().for_each(|Reverse((_, address))| chosen[*address] = node);
    }
    chosen
}

/// Returns the number of addresses that a node accepts. Of many addresses, it grows by steps, so that one
/// more address moves no others most of the time.
fn capacity(addresses: usize, nodes: usize) -> usize {
    let mut capacity: usize = 1;
    while capacity * nodes < addresses {
        capacity = ((capacity as f64 * SLACK) as usize).max(capacity + 1);
    }
    capacity
}

struct Rounds<'a> {
    addresses: &'a [Proposer<'a>],
    nodes: &'a [u64],
    capacity: usize,
    /// By address: the number of nodes that it has proposed to.
    made: Vec<usize>,
    /// By node: score and position of the addresses that it has accepted, the worst on top.
    accepted: Vec<BinaryHeap<Reverse<(u64, usize)>>>,
}

impl Rounds<'_> {
    /// Proposes an address to the nodes by its preference, until one accepts it; then goes on with the
    /// address that this one has displaced.
    fn place(&mut self, address: usize) {
        let mut homeless = Some((u64::MAX, address));
        while let Some((below, address)) = homeless {
            let Some((score, node)) = self.next(address, below) else { return };
            self.made[address] += 1;
            let accepted = &mut self.accepted[node];
            accepted.push(Reverse((score, address)));
            let is_full = accepted.len() > self.capacity;
            homeless = if is_full { accepted.pop().map(|Reverse(worst)| worst) } else { None };
        }
    }

    /// Returns the next node that an address prefers: the best with a lower score than the one that refused
    /// it.
    fn next(&self, address: usize, below: u64) -> Option<(u64, usize)> {
        let Proposer { seed, favorites } = self.addresses[address];
        if let Some(node) = favorites.get(self.made[address]) {
            return Some((score(*self.nodes.get(*node)?, seed), *node));
        }
        let scores = self.nodes.iter().enumerate().map(|(node, of_node)| (score(*of_node, seed), node));
        scores.filter(|(score, _)| *score < below).max_by_key(|(score, node)| (*score, Reverse(*node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::seed;

    fn seeds(what: &str, count: usize) -> Vec<u64> {
        (0..count).map(|number| seed(format!("{what}{number}").as_bytes())).collect()
    }

    fn spread(addresses: &[u64], nodes: &[u64]) -> Vec<usize> {
        let proposers: Vec<_> =
            addresses.iter().map(|seed| Proposer { seed: *seed, favorites: &[] }).collect();
        distribute(&proposers, nodes)
    }

    fn counts(chosen: &[usize], nodes: usize) -> Vec<usize> {
        let mut counts = vec![0; nodes];
        chosen.iter().for_each(|node| counts[*node] += 1);
        counts
    }

    #[test]
    fn the_fullest_node_has_at_most_a_fifth_more_than_the_mean() {
        for (addresses, nodes) in [(100, 5), (1000, 5), (1000, 64), (5000, 100), (30, 3)] {
            let chosen = spread(&seeds("vip", addresses), &seeds("n", nodes));
            let fullest = counts(&chosen, nodes).into_iter().max().unwrap();
            let mean = addresses as f64 / nodes as f64;
            assert!(fullest as f64 <= (1.2 * mean).ceil(), "{addresses} over {nodes}: {fullest}");
            if (addresses, nodes) == (100, 5) {
                assert!(fullest <= 24);
            }
        }
    }

    #[test]
    fn the_order_does_not_matter() {
        let (addresses, nodes) = (seeds("vip", 200), seeds("n", 7));
        let chosen = spread(&addresses, &nodes);
        let backwards: Vec<u64> = addresses.iter().rev().copied().collect();
        let other: Vec<u64> = nodes.iter().rev().copied().collect();
        let mut same = spread(&backwards, &other);
        same.reverse();
        assert_eq!(chosen, same.into_iter().map(|node| 6 - node).collect::<Vec<_>>());
    }

    #[test]
    fn a_node_that_leaves_moves_few_addresses_of_others() {
        let (addresses, nodes) = (seeds("vip", 1000), seeds("n", 10));
        let before = spread(&addresses, &nodes);
        let after = spread(&addresses, &nodes[..9]);
        let moved = before.iter().zip(&after).filter(|(was, is)| **was != 9 && was != is).count();
        assert!(moved <= 60, "{moved} of 1000 moved between nodes that stay");
        let more = spread(&seeds("vip", 1001), &nodes);
        let moved = before.iter().zip(&more).filter(|(was, is)| was != is).count();
        assert!(moved <= 20, "{moved} moved for one more address");
    }

    #[test]
    fn without_nodes_there_is_nothing_to_spread() {
        assert!(spread(&[1, 2], &[]).is_empty());
        assert!(spread(&[], &[1]).is_empty());
        assert_eq!(spread(&[3], &[1]), [0]);
    }

    #[test]
    fn known_favorites_change_nothing() {
        let (addresses, nodes) = (seeds("vip", 300), seeds("n", 20));
        let favorites: Vec<Vec<usize>> = addresses
            .iter()
            .map(|address| {
                let mut order: Vec<usize> = (0..nodes.len()).collect();
                order.sort_by_key(|node| Reverse(score(nodes[*node], *address)));
                order.truncate(8);
                order
            })
            .collect();
        let proposers: Vec<_> = addresses
            .iter()
            .zip(&favorites)
            .map(|(seed, favorites)| Proposer { seed: *seed, favorites })
            .collect();
        assert_eq!(distribute(&proposers, &nodes), spread(&addresses, &nodes));
    }
}
