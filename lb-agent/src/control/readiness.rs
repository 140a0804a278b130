//! Whether this node carries packets, as far as it can know.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Ready all the same, though a node's MAC is not known: that node may be down for good.
const READY_ANYWAY: Duration = Duration::from_secs(5);
/// A carrier that is away for less is a cable that was touched: withdrawing and announcing again would cost more.
const DARK_FOR: Duration = Duration::from_millis(400);

/// What the node can say of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// It has not carried packets yet: routers that keep routes from before a restart are to go on.
    NotYet,
    /// It carries packets.
    Yes,
    /// It cannot carry packets: nobody is to send any.
    No,
}

/// What is so now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    pub(super) now: Instant,
    /// Whether the program is on every uplink that is there, and on one at least.
    pub(super) is_whole: bool,
    /// The uplinks that have the program.
    pub(super) uplinks: &'a BTreeSet<u32>,
    /// Whether one of them has a carrier.
    pub(super) has_carrier: bool,
    /// Nodes that no next hop is known to.
    pub(super) unresolved: &'a BTreeSet<IpAddr>,
    /// Whether the maps hold a plan.
    pub(super) is_installed: bool,
}

/// What is remembered for it.
#[derive(Debug)]
pub(super) struct Readiness {
    /// Packets were carried once.
    has_been: bool,
    /// Next hops have been resolved since there is a new uplink.
    is_settled: bool,
    since: Instant,
    uplinks: BTreeSet<u32>,
    /// Not resolved when all was well: not worth waiting for.
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

    /// Judges by what is so now.
    pub(super) fn judge(&mut self, look: &Look<'_>) -> Ready {
        if !look.uplinks.is_subset(&self.uplinks) {
            (self.since, self.is_settled) = (look.now, false);
        }
        self.uplinks.clone_from(look.uplinks);
        self.dark_since = if look.has_carrier { None } else { self.dark_since.or(Some(look.now)) };
        let is_dark = self.dark_since.is_some_and(|since| look.now - since >= DARK_FOR);
        if !look.is_whole || is_dark {
            return Ready::No;
        }
        let is_late = look.now - self.since > READY_ANYWAY;
        self.is_settled |= look.is_installed && (is_late || look.unresolved.is_subset(&self.excused));
        if self.is_settled {
            self.excused.clone_from(look.unresolved);
            self.has_been = true;
            return Ready::Yes;
        }
        if self.has_been { Ready::No } else { Ready::NotYet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds, whether whole, uplinks, carrier, last bytes of unresolved nodes, and what is judged.
    type Row = (u64, bool, &'static [u32], bool, &'static [u8], Ready);

    fn judged(rows: &[Row]) {
        let start = Instant::now();
        let mut readiness = Readiness::new(start);
        for (at, is_whole, uplinks, has_carrier, unresolved, expected) in rows {
            let uplinks = uplinks.iter().copied().collect();
            let unresolved = unresolved.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect();
            let look = Look {
                now: start + Duration::from_millis(*at),
                is_whole: *is_whole,
                uplinks: &uplinks,
                has_carrier: *has_carrier,
                unresolved: &unresolved,
                is_installed: true,
            };
            assert_eq!(readiness.judge(&look), *expected, "after {at} ms");
        }
    }

    #[test]
    fn a_start_waits_for_next_hops_but_not_for_ever() {
        judged(&[
            (0, true, &[2], true, &[1, 2], Ready::NotYet),
            (4_000, true, &[2], true, &[2], Ready::NotYet),
            (5_100, true, &[2], true, &[2], Ready::Yes),
            (6_000, true, &[2], true, &[1, 2], Ready::Yes),
        ]);
    }

    #[test]
    fn an_uplink_that_is_made_again_is_waited_for_but_not_for_who_was_away_before() {
        judged(&[
            (0, true, &[2], true, &[], Ready::Yes),
            (10, true, &[2], true, &[7], Ready::Yes),
            (1_000, false, &[], false, &[1, 7], Ready::No),
            (1_500, true, &[5], true, &[1, 7], Ready::No),
            (1_600, true, &[5], true, &[7], Ready::Yes),
        ]);
    }

    #[test]
    fn one_of_two_uplinks_may_go() {
        judged(&[(0, true, &[2, 3], true, &[], Ready::Yes), (100, true, &[3], true, &[1], Ready::Yes)]);
    }

    #[test]
    fn a_program_that_is_missing_is_said_at_once_and_a_carrier_after_a_moment() {
        judged(&[
            (0, true, &[2], true, &[], Ready::Yes),
            (10, false, &[2], true, &[], Ready::No),
            (20, true, &[2], true, &[], Ready::Yes),
            (30, true, &[2], false, &[], Ready::Yes),
            (330, true, &[2], false, &[], Ready::Yes),
            (430, true, &[2], false, &[], Ready::No),
            (440, true, &[2], true, &[], Ready::Yes),
        ]);
    }
}
