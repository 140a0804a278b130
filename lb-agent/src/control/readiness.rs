//! The readiness of this node: whether it forwards packets, as far as it can know.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// After this time the node is ready even if the MAC of another node is unknown: that node may be down for
/// good.
const READY_ANYWAY: Duration = Duration::from_secs(5);
/// A shorter loss of carrier is ignored: withdrawing and advertising again would cost more.
const DARK_FOR: Duration = Duration::from_millis(400);

/// Whether this node forwards packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadyState {
    /// It has not forwarded packets yet: peers that keep routes from before a restart go on using them.
    NotYet,
    /// It forwards packets.
    Yes,
    /// It cannot forward packets: its routes are withdrawn.
    No,
}

/// The observations that readiness depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadinessInput<'a> {
    pub(super) now: Instant,
    /// Whether the program is on every existing uplink, and on at least one.
    pub(super) is_whole: bool,
    /// The uplinks that have the program.
    pub(super) uplinks: &'a BTreeSet<u32>,
    /// Whether at least one of them has a carrier.
    pub(super) has_carrier: bool,
    /// Nodes without a resolved next hop.
    pub(super) unresolved: &'a BTreeSet<IpAddr>,
    /// Whether the maps hold a complete plan.
    pub(super) is_installed: bool,
}

/// The history that readiness depends on.
#[derive(Debug)]
pub(super) struct Readiness {
    /// The node has been ready once.
    has_been: bool,
    /// Next hops have been resolved since the last new uplink.
    is_settled: bool,
    since: Instant,
    uplinks: BTreeSet<u32>,
    /// Nodes that were unresolved while the node was ready: it does not wait for them.
    excused: BTreeSet<IpAddr>,
    dark_since: Option<Instant>,
}

impl Readiness {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            has_been: false,
            is_settled: false,
            since: now,
            uplinks: BTreeSet::new(),
            excused: BTreeSet::new(),
            dark_since: None,
        }
    }

    /// Returns whether the node is ready, and keeps what the next call needs.
    pub(super) fn update(&mut self, input: &ReadinessInput<'_>) -> ReadyState {
        if !input.uplinks.is_subset(&self.uplinks) {
            (self.since, self.is_settled) = (input.now, false);
        }
        self.uplinks.clone_from(input.uplinks);
        self.dark_since = if input.has_carrier { None } else { self.dark_since.or(Some(input.now)) };
        let is_dark = self.dark_since.is_some_and(|since| input.now - since >= DARK_FOR);
        if !input.is_whole || is_dark {
            return ReadyState::No;
        }
        let is_late = input.now - self.since > READY_ANYWAY;
        self.is_settled |= input.is_installed && (is_late || input.unresolved.is_subset(&self.excused));
        if self.is_settled {
            self.excused.clone_from(input.unresolved);
            self.has_been = true;
            return ReadyState::Yes;
        }
        if self.has_been { ReadyState::No } else { ReadyState::NotYet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds, whether whole, uplinks, carrier, last bytes of unresolved nodes, and the expected state.
    type Row = (u64, bool, &'static [u32], bool, &'static [u8], ReadyState);

    fn check(rows: &[Row]) {
        let start = Instant::now();
        let mut readiness = Readiness::new(start);
        for (at, is_whole, uplinks, has_carrier, unresolved, expected) in rows {
            let uplinks = uplinks.iter().copied().collect();
            let unresolved = unresolved.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect();
            let input = ReadinessInput {
                now: start + Duration::from_millis(*at),
                is_whole: *is_whole,
                uplinks: &uplinks,
                has_carrier: *has_carrier,
                unresolved: &unresolved,
                is_installed: true,
            };
            assert_eq!(readiness.update(&input), *expected, "after {at} ms");
        }
    }

    #[test]
    fn a_start_waits_for_next_hops_but_not_forever() {
        check(&[
            (0, true, &[2], true, &[1, 2], ReadyState::NotYet),
            (4_000, true, &[2], true, &[2], ReadyState::NotYet),
            (5_100, true, &[2], true, &[2], ReadyState::Yes),
            (6_000, true, &[2], true, &[1, 2], ReadyState::Yes),
        ]);
    }

    #[test]
    fn a_recreated_uplink_waits_for_next_hops_but_not_for_nodes_that_were_unresolved_before() {
        check(&[
            (0, true, &[2], true, &[], ReadyState::Yes),
            (10, true, &[2], true, &[7], ReadyState::Yes),
            (1_000, false, &[], false, &[1, 7], ReadyState::No),
            (1_500, true, &[5], true, &[1, 7], ReadyState::No),
            (1_600, true, &[5], true, &[7], ReadyState::Yes),
        ]);
    }

    #[test]
    fn one_of_two_uplinks_is_enough() {
        check(&[
            (0, true, &[2, 3], true, &[], ReadyState::Yes),
            (100, true, &[3], true, &[1], ReadyState::Yes),
        ]);
    }

    #[test]
    fn a_missing_program_counts_at_once_and_a_missing_carrier_after_a_delay() {
        check(&[
            (0, true, &[2], true, &[], ReadyState::Yes),
            (10, false, &[2], true, &[], ReadyState::No),
            (20, true, &[2], true, &[], ReadyState::Yes),
            (30, true, &[2], false, &[], ReadyState::Yes),
            (330, true, &[2], false, &[], ReadyState::Yes),
            (430, true, &[2], false, &[], ReadyState::No),
            (440, true, &[2], true, &[], ReadyState::Yes),
        ]);
    }
}
