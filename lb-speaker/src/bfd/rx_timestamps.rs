//! When the kernel received a packet, by the driver's clock.
//!
//! The kernel stamps packets with the time of day, which may be set at any moment. So both clocks are looked at before
//! each burst, and where they have moved apart since the last one, the stamps of that burst count for nothing.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// A clock that is slewed moves by half a millisecond a second at most; the driver looks once a second at least.
const TOLERANCE: Duration = Duration::from_millis(1);

/// The driver's clock, and the time of day beside it.
pub(super) struct RxTimestamps {
    start: Instant,
    /// The time of day at the driver's start, as the last look found it.
    origin: Duration,
    /// Whether the look before that found the same.
    is_steady: bool,
}

impl RxTimestamps {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, origin: Duration::ZERO, is_steady: false }
    }

    /// What time it is: all that came before has been received by the kernel.
    pub(super) fn sample(&mut self) -> Duration {
        let now = self.start.elapsed();
        let day = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).unwrap_or_default();
        self.compare(now, day);
        now
    }

    fn compare(&mut self, now: Duration, day: Duration) {
        let origin = day.saturating_sub(now);
        self.is_steady = origin.abs_diff(self.origin) <= TOLERANCE;
        self.origin = origin;
    }

    /// When a packet with this stamp came; `None` where that is not known.
    pub(super) fn to_thread_time(&self, stamp: Option<Duration>) -> Option<Duration> {
        stamp?.checked_sub(self.origin).filter(|_| self.is_steady)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_stamp_counts_while_both_clocks_go_alike() {
        /// Both clocks at the first look and at the second, a stamp, and where it is placed.
        type Case = ([(u64, u64); 2], Option<u64>, Option<u64>);
        let cases: [Case; 7] = [
            ([(10, 1010), (20, 1020)], Some(1015), Some(15)),
            ([(10, 1010), (20, 1020)], Some(1025), Some(25)),
            ([(10, 1010), (20, 1021)], Some(1015), Some(14)),
            // Set forward, and set back.
            ([(10, 1010), (20, 9020)], Some(1015), None),
            ([(10, 5010), (20, 1020)], Some(5015), None),
            // From before the start.
            ([(10, 1010), (20, 1020)], Some(999), None),
            ([(10, 1010), (20, 1020)], None, None),
        ];
        for (looks, stamp, expected) in cases {
            let mut timestamps = RxTimestamps::new(Instant::now());
            for (now, day) in looks {
                timestamps.compare(ms(now), ms(day));
            }
            assert_eq!(timestamps.to_thread_time(stamp.map(ms)), expected.map(ms), "{looks:?} {stamp:?}");
        }
        let mut timestamps = RxTimestamps::new(Instant::now());
        timestamps.compare(ms(10), ms(1010));
        assert_eq!(timestamps.to_thread_time(Some(ms(1005))), None, "with nothing to compare with");
    }

    #[test]
    fn this_machines_clocks_go_alike() {
        let mut timestamps = RxTimestamps::new(Instant::now());
        // A step of the time of day in this moment makes it one look later.
        let found = (0..100).find_map(|_| {
            timestamps.sample();
            let day = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).ok();
            timestamps.to_thread_time(day)
        });
        assert!(found.is_some_and(|at| at <= timestamps.start.elapsed() + TOLERANCE));
    }
}
