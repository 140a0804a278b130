//! The time of a plan, and the next timer to expire.

use std::time::Duration;

/// The current time, and when to plan again.
pub(super) struct Clock {
    now: Duration,
    wake: Option<Duration>,
}

impl Clock {
    pub(super) fn at(now: Duration) -> Self {
        Self { now, wake: None }
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// Returns whether a period that began `since` is over.
    pub(super) fn is_over(&self, since: Duration, span: Duration) -> bool {
        since.saturating_add(span) <= self.now
    }

    /// As [`Self::is_over`]; if the period is not over, its end is a reason to plan again.
    pub(super) fn await_end(&mut self, since: Duration, span: Duration) -> bool {
        let is_over = self.is_over(since, span);
        if !is_over {
            let end = since.saturating_add(span);
            self.wake = Some(self.wake.map_or(end, |wake| wake.min(end)));
        }
        is_over
    }

    /// Returns the earliest awaited end; it is after now.
    pub(super) fn wake(&self) -> Option<Duration> {
        self.wake
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_pending_end_wakes() {
        let of = Duration::from_secs;
        let mut clock = Clock::at(of(10));
        assert!(clock.await_end(of(4), of(6)) && clock.wake().is_none());
        assert!(
            !clock.await_end(of(8), of(9)) && !clock.await_end(of(8), of(3)) && !clock.is_over(of(8), of(4))
        );
        assert_eq!(clock.wake(), Some(of(11)));
        assert!(!clock.await_end(of(1), Duration::MAX));
    }
}
