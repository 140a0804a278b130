//! Retry delays with exponential back-off and jitter.

use std::time::Duration;

use super::config::BackOff;

/// A seeded pseudo-random sequence (SplitMix64, Steele et al. 2014); not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns three quarters to all of a duration (RFC 4271, section 10).
    pub(super) fn apply(&mut self, whole: Duration) -> Duration {
        let share = (self.next() % 1025) as u32;
        whole * 3 / 4 + whole / 4 * share / 1024
    }
}

/// Consecutive failures.
#[derive(Clone, Debug, Default)]
pub(super) struct Retry {
    failures: u32,
}

impl Retry {
    /// Returns the delay after another failure.
    pub(super) fn wait(&mut self, back_off: BackOff, jitter: &mut Jitter) -> Duration {
        // 2^20 times any sensible initial delay exceeds any sensible maximum.
        let factor = 1u32 << self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        let whole = back_off.initial.saturating_mul(factor).min(back_off.max.max(back_off.initial));
        jitter.apply(whole)
    }

    /// Resets the delay if the ended session lasted long enough.
    pub(super) fn record_session(&mut self, back_off: BackOff, lasted: Duration) {
        if lasted >= back_off.max {
            self.failures = 0;
        }
    }

    /// Resets the delay on operator action.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Consecutive NOTIFICATIONs on incoming connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Damping {
    free: u32,
    retry: Retry,
}

impl Damping {
    /// Not damped: an operator may reset the session more than once.
    const FREE: u32 = 3;

    /// Returns how long to reject incoming connections after another one (RFC 4271, section 8.1.1,
    /// DampPeerOscillations).
    pub(super) fn wait(&mut self, back_off: BackOff, jitter: &mut Jitter) -> Option<Duration> {
        if self.free < Self::FREE {
            self.free += 1;
            return None;
        }
        Some(self.retry.wait(back_off, jitter))
    }

    /// Resets the damping if the ended session lasted long enough.
    pub(super) fn record_session(&mut self, back_off: BackOff, lasted: Duration) {
        if lasted >= back_off.max {
            self.reset();
        }
    }

    /// Resets the damping on operator action.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_double_up_to_the_maximum() {
        let (mut retry, mut jitter) = (Retry::default(), Jitter::new(1));
        for whole in [1, 2, 4, 8, 16, 32, 64, 120, 120, 120] {
            let wait = retry.wait(BackOff::DEFAULT, &mut jitter);
            assert!(wait >= SECOND * whole * 3 / 4 && wait <= SECOND * whole, "{wait:?} of {whole} s");
        }
    }

    #[test]
    fn only_a_long_session_resets_the_delay() {
        let (mut retry, mut jitter) = (Retry::default(), Jitter::new(1));
        for _ in 0..5 {
            retry.wait(BackOff::DEFAULT, &mut jitter);
        }
        retry.record_session(BackOff::DEFAULT, SECOND * 119);
        assert!(retry.wait(BackOff::DEFAULT, &mut jitter) > SECOND * 20);
        retry.record_session(BackOff::DEFAULT, SECOND * 120);
        assert!(retry.wait(BackOff::DEFAULT, &mut jitter) <= SECOND);
    }

    proptest! {
        #[test]
        fn jitter_reduces_by_at_most_a_quarter(seed: u64, ms in 0u64..10_000_000) {
            let whole = Duration::from_millis(ms);
            let apply = Jitter::new(seed).apply(whole);
            prop_assert!(apply <= whole && apply >= whole * 3 / 4);
        }
    }
}
