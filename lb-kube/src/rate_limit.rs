//! How often anything is written.

use std::collections::BTreeMap;
use std::time::Duration;

/// How often anything is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Writes a second, for as long as there are any to make.
    pub per_second: f64,
    /// Writes that are made at once after a time of quiet.
    pub burst: f64,
    /// Time from one write of an object to the next; doubled while it goes on being written.
    pub gap: Duration,
    /// The longest of these times.
    pub longest_gap: Duration,
}

impl Terms {
    /// What a cluster bears of some hundred nodes.
    pub const DEFAULT: Self = Self {
        per_second: 10.0,
        burst: 50.0,
        gap: Duration::from_secs(5),
        longest_gap: Duration::from_secs(300),
    };
}

/// Writes that may be made now: a bucket of tokens that fills with time.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Duration,
}

impl Budget {
    pub(super) fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, tokens: burst, filled: Duration::ZERO }
    }

    /// Takes up to so many, and says how many.
    pub(super) fn take(&mut self, wanted: usize, now: Duration) -> usize {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.filled = now;
        let taken = wanted.min(self.tokens as usize);
        self.tokens -= taken as f64;
        taken
    }
}

/// Times from one write of an object to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gaps {
    pub(super) first: Duration,
    /// It doubles up to this while the object goes on changing.
    pub(super) longest: Duration,
}

/// Times from one attempt to the next while writes fail: they do not count as changes of the object.
const AFTER_FAILURE: Gaps = Gaps { first: Duration::from_secs(1), longest: Duration::from_secs(4) };
/// The same where a server answers that it does not take what is written.
const AFTER_REFUSAL: Gaps = Gaps { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// The server does not take it.
    Refused,
    /// There was no answer, or one that says nothing about the object.
    Failed,
}

/// When each object may be written again.
#[derive(Clone, Debug)]
pub(super) struct Paces<Key> {
    written: BTreeMap<Key, Pace>,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The last success, and the gap after it.
    at: Duration,
    gap: Duration,
    /// No attempt before this, and the gap that led to it.
    next: Duration,
    backoff: Duration,
}

impl<Key: Ord> Paces<Key> {
    pub(super) fn new() -> Self {
        Self { written: BTreeMap::new() }
    }

    pub(super) fn is_due(&self, key: &Key, now: Duration) -> bool {
        self.written.get(key).is_none_or(|pace| now >= pace.next)
    }

    /// It has been tried to write an object. One that is written again soon after it may be is one that somebody
    /// else, or a router that comes and goes, keeps from being what it shall be.
    pub(super) fn handle_write(&mut self, key: Key, gaps: Gaps, outcome: Outcome, now: Duration) {
        let zero = Duration::ZERO;
        let pace = self.written.entry(key).or_insert(Pace { at: now, gap: zero, next: now, backoff: zero });
        let limits = match outcome {
            Outcome::Written => {
                let soon = now < pace.at + pace.gap * 4;
                pace.gap = if soon { (pace.gap * 2).clamp(gaps.first, gaps.longest) } else { gaps.first };
                (pace.at, pace.next, pace.backoff) = (now, now + pace.gap, zero);
                return;
            }
            Outcome::Failed => AFTER_FAILURE,
            Outcome::Refused => AFTER_REFUSAL,
        };
        let [first, longest] = [limits.first.min(gaps.first), limits.longest.min(gaps.longest)];
        pace.backoff = (pace.backoff * 2).clamp(first, longest.max(first));
        pace.next = now + pace.backoff;
    }

    /// Forgets what has been quiet for long.
    pub(super) fn tidy(&mut self, now: Duration) {
        self.written.retain(|_, pace| now < pace.at + pace.gap * 4 || now < pace.next + pace.backoff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_budget_fills_with_time_and_no_further_than_its_burst() {
        let mut budget = Budget::new(2.0, 5.0);
        assert_eq!(budget.take(9, SECOND), 5);
        assert_eq!(budget.take(9, SECOND), 0);
        assert_eq!(budget.take(1, SECOND * 2), 1);
        assert_eq!(budget.take(9, SECOND * 3), 3);
        assert_eq!(budget.take(9, SECOND * 1000), 5);
        assert_eq!(budget.take(9, SECOND * 10), 0, "time does not run backwards");
    }

    const GAPS: Gaps = Gaps { first: Duration::from_secs(5), longest: Duration::from_secs(300) };

    /// The seconds of an hour at which an object is written that always differs.
    fn writes(gaps: Gaps, outcome: Outcome) -> Vec<u32> {
        let mut paces = Paces::new();
        let mut writes = Vec::new();
        for second in 0..3600 {
            let now = SECOND * second;
            paces.tidy(now);
            if paces.is_due(&"a", now) {
                paces.handle_write("a", gaps, outcome, now);
                writes.push(second);
            }
        }
        writes
    }

    #[test]
    fn an_object_that_goes_on_changing_is_written_more_and_more_seldom() {
        let writes = writes(GAPS, Outcome::Written);
        assert_eq!(writes[..5], [0, 5, 15, 35, 75]);
        assert!(writes.len() < 20, "{writes:?}");
        let mut paces = Paces::new();
        assert!(paces.is_due(&"b", SECOND));
        // It has been quiet for long, so it is as new.
        let later = SECOND * 10_000;
        paces.handle_write("a", GAPS, Outcome::Written, later);
        assert!(paces.is_due(&"a", later + SECOND * 5) && !paces.is_due(&"a", later + SECOND * 4));
        paces.tidy(later + SECOND * 20);
        assert!(paces.written.is_empty());
    }

    #[test]
    fn failures_are_not_held_against_an_object() {
        assert_eq!(writes(GAPS, Outcome::Failed)[..6], [0, 1, 3, 7, 11, 15]);
        assert_eq!(writes(GAPS, Outcome::Refused)[..8], [0, 1, 3, 7, 15, 31, 63, 123]);
        let mut paces = Paces::new();
        for second in 0..600 {
            paces.handle_write("a", GAPS, Outcome::Failed, SECOND * second);
        }
        paces.handle_write("a", GAPS, Outcome::Written, SECOND * 600);
        assert!(paces.is_due(&"a", SECOND * 605), "it changed once");
    }
}
