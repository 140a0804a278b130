//! What this node says of itself as an announcer ([`Standing`]).
//!
//! ```text
//!            other nodes announce                waited      no returned node is left
//!  Absent ───────────────────────▶ Returned ──────────▶ Ready ──────────────────────▶ Stable
//!    │                                ▲                   │                              ▲ │
//!    │                                └───────────────────┴──────────────────────────────┼─┘
//!    │                                   a stable node lost contact with it; it drains   │
//!    └───────────────────────────────────────────────────────────────────────────────────┘
//!                                    no other node announces
//! ```
//!
//! From each of them, a node that cannot announce becomes absent. A node that has returned leaves its
//! addresses to others for some time, so that a node that comes and goes moves them once. Nodes that return
//! together would become stable one after the other, and an address could move with each; so they wait for
//! each other as ready nodes, which count as stable only where none is returned.

use std::time::Duration;

use lb_common::maps::Standing;

use crate::event::StandingReason;

/// For how long a node must move no address by becoming stable, if it waits for nothing else.
pub const HARMLESS_FOR: Duration = Duration::from_mins(1);

/// Another node that is live, as an announcer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveNode {
    /// What it says of itself.
    pub standing: Standing,
    /// Whether it drains.
    pub is_draining: bool,
    /// Whether it says that it lost contact with this node.
    pub holds_this: bool,
}

/// A change to think through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypothesis {
    /// This node has another standing.
    Own(Standing),
    /// This node and all that have returned are stable.
    AllStable,
}

/// What a standing depends on.
#[derive(Clone, Copy, Debug)]
pub struct StandingInput<'a> {
    /// Whether this node can announce.
    pub can_announce: bool,
    /// Whether this node drains.
    pub is_draining: bool,
    /// The other nodes; `None`: dead.
    pub others: &'a [Option<LiveNode>],
}

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingChange {
    /// What this node said before.
    pub from: Standing,
    /// What it says now.
    pub to: Standing,
    /// Why.
    pub why: StandingReason,
}

/// The standing of this node.
#[derive(Clone, Debug)]
pub struct StandingEngine {
    preempt_after: Option<Duration>,
    detection: Duration,
    standing: Standing,
    since: Duration,
    /// Since when it has been able to announce without a break, while it is absent.
    able_since: Option<Duration>,
    /// Since when what it waits for has been true without a break.
    true_since: Option<Duration>,
    was_draining: bool,
    /// It has changed and not been looked at since.
    is_new: bool,
}

impl StandingEngine {
    /// Returns the engine of a node that goes on with a standing. `detection` is the time after which a
    /// silent node is dead.
    pub const fn new(
        preempt_after: Option<Duration>,
        detection: Duration,
        adopted: Standing,
        now: Duration,
    ) -> Self {
        Self {
            preempt_after,
            detection,
            standing: adopted,
            since: now,
            able_since: None,
            true_since: None,
            was_draining: false,
            is_new: true,
        }
    }

    /// Returns what this node says of itself.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Returns since when.
    pub const fn since(&self) -> Duration {
        self.since
    }

    /// Looks at this node and the others. `is_harmless` returns whether no address moves.
    pub fn handle_input(
        &mut self,
        input: StandingInput<'_>,
        mut is_harmless: impl FnMut(Hypothesis) -> bool,
        now: Duration,
    ) -> Option<StandingChange> {
        self.is_new = false;
        let has_drained = std::mem::replace(&mut self.was_draining, input.is_draining) && !input.is_draining;
        let (to, why) = if input.can_announce {
            match self.standing {
                Standing::Absent => self.leave_absent(input, now),
                _ if input.is_held() => {
                    self.since = now;
                    Some((Standing::Returned, StandingReason::WasDead))
                }
                Standing::Stable => leave_stable(input, has_drained, is_harmless)
                    .then_some((Standing::Returned, StandingReason::Drained)),
                Standing::Returned if input.is_draining || has_drained => {
                    (self.since, self.true_since) = (now, None);
                    None
                }
                Standing::Returned => self.leave_returned(is_harmless, now),
                Standing::Ready if input.is_draining => Some((Standing::Returned, StandingReason::Drained)),
                Standing::Ready => self.leave_ready(input, &mut is_harmless, now),
            }
        } else {
            self.able_since = None;
            Some((Standing::Absent, StandingReason::CannotAnnounce))
        }?;
        self.set(to, why, now)
    }

    fn set(&mut self, to: Standing, why: StandingReason, now: Duration) -> Option<StandingChange> {
        let from = std::mem::replace(&mut self.standing, to);
        if from == to {
            return None;
        }
        (self.since, self.true_since, self.able_since) = (now, None, None);
        self.is_new = true;
        Some(StandingChange { from, to, why })
    }

    /// Returns whether something has been true for some time.
    fn has_lasted(&mut self, is_true: bool, time: Duration, now: Duration) -> bool {
        if !is_true {
            self.true_since = None;
            return false;
        }
        now >= *self.true_since.get_or_insert(now) + time
    }

    fn leave_absent(
        &mut self,
        input: StandingInput<'_>,
        now: Duration,
    ) -> Option<(Standing, StandingReason)> {
        let able_since = *self.able_since.get_or_insert(now);
        let have_all_answered = input.others.iter().all(Option::is_some);
        if !have_all_answered && now < able_since + self.detection {
            return None;
        }
        // Also if none of them is stable: those that announce are not to be outranked at once.
        Some(if input.has_announcer() {
            (Standing::Returned, StandingReason::Started)
        } else {
            (Standing::Stable, StandingReason::StartedAlone)
        })
    }

    fn leave_returned(
        &mut self,
        mut is_harmless: impl FnMut(Hypothesis) -> bool,
        now: Duration,
    ) -> Option<(Standing, StandingReason)> {
        if let Some(time) = self.preempt_after {
            return (now >= self.since + time).then_some((Standing::Ready, StandingReason::Waited));
        }
        let is_harmless =
            is_harmless(Hypothesis::Own(Standing::Stable)) || is_harmless(Hypothesis::AllStable);
        self.has_lasted(is_harmless, HARMLESS_FOR, now).then_some((Standing::Ready, StandingReason::Harmless))
    }

    fn leave_ready(
        &mut self,
        input: StandingInput<'_>,
        is_harmless: &mut impl FnMut(Hypothesis) -> bool,
        now: Duration,
    ) -> Option<(Standing, StandingReason)> {
        // The others have to see it ready, before they see it stable.
        if self.has_lasted(!input.has_returned(), self.detection, now) {
            return Some((Standing::Stable, StandingReason::Waited));
        }
        // A node that returns over and over is not waited for.
        let may = match self.preempt_after {
            Some(time) => now >= self.since + time,
            None => is_harmless(Hypothesis::Own(Standing::Stable)),
        };
        may.then_some((Standing::Stable, StandingReason::Waited))
    }

    /// Returns when the standing may change although nothing else does.
    pub fn next_deadline(&self) -> Option<Duration> {
        let lasted = |time| self.true_since.map(|since| since + time);
        match self.standing {
            _ if self.is_new => Some(self.since),
            Standing::Stable => None,
            Standing::Absent => self.able_since.map(|since| since + self.detection),
            Standing::Returned => match self.preempt_after {
                Some(time) => Some(self.since + time),
                None => lasted(HARMLESS_FOR),
            },
            Standing::Ready if self.true_since.is_some() => lasted(self.detection),
            Standing::Ready => self.preempt_after.map(|time| self.since + time),
        }
    }
}

/// Returns whether a stable node becomes returned because it drains: as soon as it announces nothing that
/// another node could, or at the latest when the drain ends. Otherwise it would take all addresses back at
/// the end of the drain.
fn leave_stable(
    input: StandingInput<'_>,
    has_drained: bool,
    mut is_harmless: impl FnMut(Hypothesis) -> bool,
) -> bool {
    let may = has_drained || input.is_draining && is_harmless(Hypothesis::Own(Standing::Returned));
    may && input.has_announcer()
}

impl StandingInput<'_> {
    fn live(&self) -> impl Iterator<Item = &LiveNode> {
        self.others.iter().flatten()
    }

    fn is_held(&self) -> bool {
        self.live().any(|node| node.holds_this && node.standing == Standing::Stable)
    }

    fn has_announcer(&self) -> bool {
        self.live().any(|node| node.standing != Standing::Absent)
    }

    fn has_returned(&self) -> bool {
        self.live().any(|node| node.standing == Standing::Returned && !node.is_draining)
    }
}

#[cfg(test)]
mod tests;
