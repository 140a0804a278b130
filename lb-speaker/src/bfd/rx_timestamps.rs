//! Receive times of packets on the thread's clock.
//!
//! The kernel stamps packets with the wall clock, which may be set at any moment. So both clocks are sampled
//! before each burst; if they have drifted apart since the last one, the stamps of that burst are ignored.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// A slewed clock drifts by at most half a millisecond per second; the thread samples at least once a second.
const TOLERANCE: Duration = Duration::from_millis(1);

/// The thread's clock, and the wall clock beside it.
pub(super) struct RxTimestamps {
    start: Instant,
    /// Wall clock at the thread's start, by the last sample.
    origin: Duration,
    /// Whether the sample before agreed.
    is_steady: bool,
}

impl RxTimestamps {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, origin: Duration::ZERO, is_steady: false }
    }

    /// Samples the clocks and returns the time: the kernel has received all packets from before.
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

    /// Converts a stamp to the thread's clock; `None` if unreliable.
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
    fn a_stamp_is_valid_while_both_clocks_agree() {
        /// Both clocks at the first and second sample, a stamp, and the converted one.
        type Case = ([(u64, u64); 2], Option<u64>, Option<u64>);
        let cases: [Case; 7] = [
            ([(10, 1010), (20, 1020)], Some(1015), Some(15)),
            ([(10, 1010), (20, 1020)], Some(1025), Some(25)),
            ([(10, 1010), (20, 1021)], Some(1015), Some(14)),
            // Set forward and back.
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
        assert_eq!(timestamps.to_thread_time(Some(ms(1005))), None, "without an earlier sample");
    }

    #[test]
    fn the_clocks_of_this_machine_agree() {
        let mut timestamps = RxTimestamps::new(Instant::now());
        // A step of the wall clock at this moment only delays it by one sample.
        let found = (0..100).find_map(|_| {
            timestamps.sample();
            let day = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).ok();
            timestamps.to_thread_time(day)
        });
        assert!(found.is_some_and(|at| at <= timestamps.start.elapsed() + TOLERANCE));
    }
}
