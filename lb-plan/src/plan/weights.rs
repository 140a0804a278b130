//! The weights of nodes in the rings of Services with externalTrafficPolicy Local.
//!
//! The weight of a node is its number of ready endpoints. A rolling update changes that number by one for a
//! moment on one node after the other, and each time slots would move there and back. So a changed number
//! counts only after it has persisted for a while. Only the first endpoint of a node and the end of its last
//! one count at once: there the ring must follow.
//!
//! A hysteresis band, by which a number must differ before it counts, would not help: the step from one
//! endpoint to two and back is the most common and the largest. It would also leave two nodes with different
//! histories with different rings for as long as nothing changes, though a node that owns flows need not
//! stand in the other's slot. A period leaves no trace: nodes that have seen the same objects for that long
//! have the same weights, whatever came before. Until then they may differ, as they do while objects
//! propagate; second chances cover that.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::Clock;
use super::status::Share;
use crate::contents::VipKey;
use lb_model::NodeName;

/// Significant bits of a weight. Up to 16 weights are exact, above they are within a sixteenth: so many nodes
/// with similar numbers have the same weight, and more Services share their rings.
const SIGNIFICANT_BITS: u32 = 4;

/// The weights in force, by VIP.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    settled: BTreeMap<VipKey, SettledWeights>,
    /// Those of the previous plan, while a plan is made.
    before: BTreeMap<VipKey, SettledWeights>,
}

#[derive(Clone, Debug)]
struct SettledWeights {
    weights: BTreeMap<NodeName, u32>,
    /// Since when they differ from the counted numbers.
    differ_since: Option<Duration>,
}

impl Weights {
    /// Begins a plan. Forgets the VIPs that it does not ask for.
    pub(super) fn begin(&mut self) {
        self.before = std::mem::take(&mut self.settled);
    }

    /// Returns the shares of the nodes in a VIP, given their numbers of endpoints.
    pub(super) fn shares<'a>(
        &mut self,
        key: VipKey,
        counts: impl Iterator<Item = (&'a NodeName, u32)>,
        clock: &mut Clock,
        settle: Duration,
    ) -> Vec<Share> {
        let counted: BTreeMap<NodeName, u32> =
            counts.map(|(node, count)| (node.clone(), quantised(count))).collect();
        let settled = match self.before.remove(&key) {
            Some(before) => before.follow(counted, clock, settle),
            None => SettledWeights { weights: counted, differ_since: None },
        };
        let share = |(node, weight): (&NodeName, &u32)| Share {
            node: node.clone(),
            weight: *weight,
            terminating: false,
        };
        let shares = settled.weights.iter().map(share).collect();
        self.settled.insert(key, settled);
        shares
    }
}

impl SettledWeights {
    fn follow(self, counted: BTreeMap<NodeName, u32>, clock: &mut Clock, settle: Duration) -> Self {
        let of = |(node, weight): (&NodeName, &u32)| {
            (node.clone(), self.weights.get(node).copied().unwrap_or(*weight))
        };
        let weights: BTreeMap<NodeName, u32> = counted.iter().map(of).collect();
        if weights == counted {
            return Self { weights, differ_since: None };
        }
        let since = self.differ_since.unwrap_or(clock.now());
        if clock.await_end(since, settle) {
            Self { weights: counted, differ_since: None }
        } else {
            Self { weights, differ_since: Some(since) }
        }
    }
}

/// Rounds to [`SIGNIFICANT_BITS`].
fn quantised(count: u32) -> u32 {
    let dropped = (u32::BITS - count.leading_zeros()).saturating_sub(SIGNIFICANT_BITS);
    let half = (1 << dropped) >> 1;
    (count.saturating_add(half) >> dropped) << dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_rounded_to_their_first_bits() {
        assert!((0..=16).all(|count| quantised(count) == count));
        assert_eq!([17, 18, 19, 31, 33, 34, 100].map(quantised), [18, 18, 20, 32, 32, 36, 104]);
        assert!((1..100_000).all(|count| quantised(count).abs_diff(count) * 16 <= count));
        assert_eq!(quantised(u32::MAX), 0xf000_0000);
    }

    const SETTLE: Duration = Duration::from_secs(30);

    /// Returns the weights of nodes a, b, … at each second, and when to plan again.
    fn weights(history: &[(u64, &[u32])]) -> Vec<(Vec<u32>, Option<u64>)> {
        let key = VipKey { address: [192, 0, 2, 1].into(), port: 80, protocol: 6 };
        let names = ["a", "b", "c"].map(NodeName::from);
        let mut weights = Weights::default();
        let mut at = |(second, counts): &(u64, &[u32])| {
            let mut clock = Clock::at(Duration::from_secs(*second));
            weights.begin();
            let counts = names.iter().zip(counts.iter().copied()).filter(|(_, count)| *count > 0);
            let shares = weights.shares(key, counts, &mut clock, SETTLE);
            (shares.iter().map(|share| share.weight).collect(), clock.wake().map(|wake| wake.as_secs()))
        };
        history.iter().map(&mut at).collect()
    }

    #[test]
    fn a_short_change_of_a_number_does_not_count() {
        let seen = weights(&[(0, &[1, 3]), (5, &[2, 3]), (20, &[1, 3]), (25, &[1, 4]), (50, &[1, 3])]);
        assert!(seen.iter().all(|(weights, _)| weights == &[1, 3]));
        assert_eq!(seen[1].1, Some(35));
        assert_eq!(seen[4].1, None);
    }

    #[test]
    fn a_persistent_change_counts_with_all_later_ones() {
        let seen = weights(&[(0, &[1, 1]), (5, &[2, 1]), (20, &[2, 2]), (35, &[2, 2])]);
        assert_eq!(seen[2], (vec![1, 1], Some(35)));
        assert_eq!(seen[3], (vec![2, 2], None));
    }

    #[test]
    fn nodes_that_join_and_leave_count_at_once() {
        let seen = weights(&[(0, &[1, 3]), (1, &[0, 2]), (2, &[5, 3])]);
        assert_eq!(seen, [(vec![1, 3], None), (vec![3], Some(31)), (vec![5, 3], None)]);
    }
}
