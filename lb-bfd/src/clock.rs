//! The probe clock: how time passes for the question whether a node is dead.
//!
//! It counts ticks of a fifth of the probe interval, and a tick that comes late counts once. So an agent
//! that stood still, for whatever reason, does not find all its peers dead when it goes on: while it did
//! not probe, no time has passed in which they could have answered.

use std::time::Duration;

/// Ticks in one probe interval.
pub const TICKS_PER_INTERVAL: u32 = 5;

/// When the next tick is, and how many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeClock {
    tick: Duration,
    value: u64,
    next: Duration,
}

impl ProbeClock {
    /// A clock for a probe interval that goes on from `value`. `now` and all times after it are counted from
    /// one start of the caller's choice.
    pub const fn new(interval: Duration, value: u64, now: Duration) -> Self {
        // An interval below five nanoseconds would never let time pass.
        let tick =
            Duration::from_nanos((interval.as_nanos() as u64 / TICKS_PER_INTERVAL as u64).saturating_add(1));
        Self { tick, value, next: now.saturating_add(tick) }
    }

    /// What it shows.
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// When the next tick is due.
    pub const fn next_deadline(&self) -> Duration {
        self.next
    }

    /// Ticks at most once, however late it is; true where it did.
    pub fn handle_time(&mut self, now: Duration) -> bool {
        if now < self.next {
            return false;
        }
        self.value += 1;
        // On time, or a little late: keep the pace. Later than a tick: the ticks between are lost.
        self.next = if now < self.next + self.tick { self.next + self.tick } else { now + self.tick };
        true
    }

    /// Ticks without an answer after which a node is dead.
    pub const fn limit(multiplier: u32) -> u32 {
        multiplier.saturating_mul(TICKS_PER_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_millis(50);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_stall_is_one_tick() {
        let mut clock = ProbeClock::new(INTERVAL, 100, ms(0));
        assert!(clock.handle_time(ms(60_000)));
        assert_eq!(clock.value(), 101);
        assert!(!clock.handle_time(ms(60_005)));
        assert!(clock.handle_time(ms(60_011)));
    }

    #[test]
    fn a_second_of_punctual_driving_is_a_hundred_ticks() {
        let mut clock = ProbeClock::new(INTERVAL, 0, ms(0));
        while clock.next_deadline() < ms(1001) {
            let late = clock.next_deadline() + Duration::from_micros(300);
            clock.handle_time(late);
        }
        assert_eq!(clock.value(), 100);
    }

    proptest! {
        #[test]
        fn it_never_runs_ahead_of_time(steps in proptest::collection::vec(0u64..40, 1..300)) {
            let mut clock = ProbeClock::new(INTERVAL, 0, ms(0));
            let mut now = 0;
            for step in steps {
                now += step;
                let before = clock.value();
                clock.handle_time(ms(now));
                prop_assert!(clock.value() - before <= 1);
                prop_assert!(clock.value() * 10 <= now);
            }
        }
    }
}
