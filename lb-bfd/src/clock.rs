//! The probe clock, which measures the age of a node's last answer.
//!
//! A tick takes a fifth of the probe interval, and a late tick counts once. An agent that was stalled, for
//! whatever reason, does not find all nodes dead when it resumes: while it did not probe, no time has passed
//! in which they could have answered.

use std::time::Duration;

/// Ticks in one probe interval.
pub const TICKS_PER_INTERVAL: u32 = 5;

/// The number of ticks, and the time of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeClock {
    tick: Duration,
    value: u64,
    next: Duration,
}

impl ProbeClock {
    /// Returns a clock for a probe interval that continues from `value`. All times, including `now`, count
    /// from one origin that the caller chooses.
    pub const fn new(interval: Duration, value: u64, now: Duration) -> Self {
        // Below five nanoseconds, integer division would stop the clock.
        let tick =
            Duration::from_nanos((interval.as_nanos() as u64 / TICKS_PER_INTERVAL as u64).saturating_add(1));
        Self { tick, value, next: now.saturating_add(tick) }
    }

    /// Returns the number of ticks.
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// Returns the time of the next tick.
    pub const fn next_deadline(&self) -> Duration {
        self.next
    }

    /// Advances by one tick at most, however late it is; returns whether it did.
    pub fn handle_time(&mut self, now: Duration) -> bool {
        if now < self.next {
            return false;
        }
        self.value += 1;
        // Up to one tick late: keep the pace. Later: skip the missed ticks.
        self.next = if now < self.next + self.tick { self.next + self.tick } else { now + self.tick };
        true
    }

    /// Returns the number of ticks without an answer after which a node is dead.
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
    fn a_punctual_second_is_a_hundred_ticks() {
        let mut clock = ProbeClock::new(INTERVAL, 0, ms(0));
        while clock.next_deadline() < ms(1001) {
            let late = clock.next_deadline() + Duration::from_micros(300);
            clock.handle_time(late);
        }
        assert_eq!(clock.value(), 100);
    }

    proptest! {
        #[test]
        fn the_clock_never_runs_ahead_of_time(steps in proptest::collection::vec(0u64..40, 1..300)) {
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
