//! Rate limits of writes: a token bucket for all objects, a backoff for each object.

use std::collections::BTreeMap;
use std::time::Duration;

/// The limits of status writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WriteLimits {
    /// Sustained writes per second.
    pub per_second: f64,
    /// Writes that are made at once after an idle time.
    pub burst: f64,
    /// Minimum interval between writes of an object; doubles while the object keeps changing.
    pub interval: Duration,
    /// Maximum of this interval.
    pub max_interval: Duration,
}

impl WriteLimits {
    /// Limits that suit a cluster of some hundred nodes.
    pub const DEFAULT: Self = Self {
        per_second: 10.0,
        burst: 50.0,
        interval: Duration::from_secs(5),
        max_interval: Duration::from_secs(300),
    };
}

/// A token bucket.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Duration,
}

impl TokenBucket {
    pub(super) fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, tokens: burst, filled: Duration::ZERO }
    }

    /// Takes up to `count` tokens; returns how many.
    pub(super) fn take(&mut self, count: usize, now: Duration) -> usize {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.filled = now;
        let taken = count.min(self.tokens as usize);
        self.tokens -= taken as f64;
        taken
    }
}

/// An exponential backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    /// The interval doubles up to this.
    pub(super) max: Duration,
}

/// Backoff of writes that fail: failures do not count as changes of the object.
const FAILURE_BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(4) };
/// Backoff of writes that the server rejects.
const REJECTION_BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    Written,
    /// The server rejected the content.
    Rejected,
    /// There was no response, or one that does not concern the content.
    Failed,
}

/// The backoff of each object.
#[derive(Clone, Debug)]
pub(super) struct ObjectBackoff<Key> {
    objects: BTreeMap<Key, ObjectState>,
}

#[derive(Clone, Copy, Debug)]
struct ObjectState {
    /// The last successful write, and the interval after it.
    written_at: Duration,
    interval: Duration,
    /// The next attempt, and the delay after the last failure.
    next: Duration,
    retry_delay: Duration,
}

impl<Key: Ord> ObjectBackoff<Key> {
    pub(super) fn new() -> Self {
        Self { objects: BTreeMap::new() }
    }

    pub(super) fn is_due(&self, key: &Key, now: Duration) -> bool {
        self.objects.get(key).is_none_or(|state| now >= state.next)
    }

    /// Handles an attempt to write an object; `changes` is the backoff between successful writes. An object
    /// that is due again soon after it may be written keeps changing: a peer flaps, or another writer
    /// overwrites the object.
    pub(super) fn handle_write(&mut self, key: Key, changes: Backoff, outcome: WriteOutcome, now: Duration) {
        let zero = Duration::ZERO;
        let new = ObjectState { written_at: now, interval: zero, next: now, retry_delay: zero };
        let state = self.objects.entry(key).or_insert(new);
        let retries = match outcome {
            WriteOutcome::Written => {
                let is_soon = now < state.written_at + state.interval * 4;
                let doubled = (state.interval * 2).clamp(changes.first, changes.max);
                state.interval = if is_soon { doubled } else { changes.first };
                (state.written_at, state.next, state.retry_delay) = (now, now + state.interval, zero);
                return;
            }
            WriteOutcome::Failed => FAILURE_BACKOFF,
            WriteOutcome::Rejected => REJECTION_BACKOFF,
        };
        let [first, max] = [retries.first.min(changes.first), retries.max.min(changes.max)];
        state.retry_delay = (state.retry_delay * 2).clamp(first, max.max(first));
        state.next = now + state.retry_delay;
    }

    /// Forgets objects that have been idle for long.
    pub(super) fn forget_idle(&mut self, now: Duration) {
        let is_idle = |state: &ObjectState| {
            now >= state.written_at + state.interval * 4 && now >= state.next + state.retry_delay
        };
        self.objects.retain(|_, state| !is_idle(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_fills_with_time_up_to_its_burst() {
        let mut bucket = TokenBucket::new(2.0, 5.0);
        assert_eq!(bucket.take(9, SECOND), 5);
        assert_eq!(bucket.take(9, SECOND), 0);
        assert_eq!(bucket.take(1, SECOND * 2), 1);
        assert_eq!(bucket.take(9, SECOND * 3), 3);
        assert_eq!(bucket.take(9, SECOND * 1000), 5);
        assert_eq!(bucket.take(9, SECOND * 10), 0, "time does not run backwards");
    }

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(5), max: Duration::from_secs(300) };

    /// Returns the seconds of an hour at which an object that keeps changing is written.
    fn writes(backoff: Backoff, outcome: WriteOutcome) -> Vec<u32> {
        let mut objects = ObjectBackoff::new();
        let mut writes = Vec::new();
        for second in 0..3600 {
            let now = SECOND * second;
            objects.forget_idle(now);
            if objects.is_due(&"a", now) {
                objects.handle_write("a", backoff, outcome, now);
                writes.push(second);
            }
        }
        writes
    }

    #[test]
    fn the_interval_of_an_object_that_keeps_changing_doubles() {
        let writes = writes(BACKOFF, WriteOutcome::Written);
        assert_eq!(writes[..5], [0, 5, 15, 35, 75]);
        assert!(writes.len() < 20, "{writes:?}");
        let mut objects = ObjectBackoff::new();
        assert!(objects.is_due(&"b", SECOND));
        // After a long idle time the backoff starts again.
        let later = SECOND * 10_000;
        objects.handle_write("a", BACKOFF, WriteOutcome::Written, later);
        assert!(objects.is_due(&"a", later + SECOND * 5) && !objects.is_due(&"a", later + SECOND * 4));
        objects.forget_idle(later + SECOND * 20);
        assert!(objects.objects.is_empty());
    }

    #[test]
    fn failures_do_not_count_as_changes_of_an_object() {
        assert_eq!(writes(BACKOFF, WriteOutcome::Failed)[..6], [0, 1, 3, 7, 11, 15]);
        assert_eq!(writes(BACKOFF, WriteOutcome::Rejected)[..8], [0, 1, 3, 7, 15, 31, 63, 123]);
        let mut objects = ObjectBackoff::new();
        for second in 0..600 {
            objects.handle_write("a", BACKOFF, WriteOutcome::Failed, SECOND * second);
        }
        objects.handle_write("a", BACKOFF, WriteOutcome::Written, SECOND * 600);
        assert!(objects.is_due(&"a", SECOND * 605), "it changed once");
    }
}
