//! The limit on frames a second, over all links.
//!
//! It is a leaky bucket as a meter (GCRA, ITU-T I.371): a few frames may leave at once, and in no second more
//! than the rate. Nodes that share the addresses of a dead node share its rate as well, so that the network
//! carries no more than the rate of one.

use std::time::Duration;

/// Frames that may leave at once, at most.
pub const BURST: u32 = 16;
/// Lowest rate of a node that takes over a small share of the addresses.
pub const MIN_RATE: u32 = 50;

/// Changes that follow each other in this time count as one.
const CHANGE_SPREADS: Duration = Duration::from_millis(500);
/// How long the rate of a change stays in force.
const CHANGE_LASTS: Duration = Duration::from_secs(5);

/// The limit.
#[derive(Clone, Debug)]
pub struct Pacer {
    full_rate: u32,
    /// Time between two frames, without the burst.
    interval: Duration,
    burst: u32,
    /// When the bucket will be empty.
    empty_at: Duration,
    /// When a frame last had to wait.
    blocked_at: Option<Duration>,
    change: Change,
}

/// Addresses that changed their announcer of late.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    mine: u64,
    all: u64,
    last: Option<Duration>,
}

impl Pacer {
    /// Returns a limit of `rate` frames a second; at least one.
    pub fn new(rate: u32) -> Self {
        let mut pacer = Self {
            full_rate: rate.max(1),
            interval: Duration::ZERO,
            burst: 1,
            empty_at: Duration::ZERO,
            blocked_at: None,
            change: Change::default(),
        };
        pacer.set_rate(rate);
        pacer
    }

    fn set_rate(&mut self, rate: u32) {
        let rate = rate.max(1);
        self.burst = (rate / 20).clamp(1, BURST);
        // A second may begin with a burst, which must not come on top of the rate.
        let steady = (rate - self.burst).max(1);
        self.interval = Duration::from_nanos(1_000_000_000_u64.div_ceil(steady.into()));
    }

    /// Sets the rate to this node's share: `mine` of `all` addresses that change their announcer.
    pub fn handle_change(&mut self, mine: u64, all: u64, now: Duration) {
        if self.change.last.is_none_or(|last| now > last + CHANGE_SPREADS) {
            self.change = Change::default();
        }
        self.change.mine += mine;
        self.change.all += all;
        self.change.last = Some(now);
        if self.change.mine > 0 {
            let share = u64::from(self.full_rate) * self.change.mine / self.change.all.max(1);
            let share = u32::try_from(share).unwrap_or(u32::MAX);
            self.set_rate(share.max(MIN_RATE).min(self.full_rate));
        }
    }

    /// Returns when the next frame may leave.
    pub fn next_time(&self) -> Duration {
        self.empty_at.saturating_sub(self.interval * (self.burst - 1))
    }

    /// Returns whether a frame may leave now.
    pub fn is_open(&mut self, now: Duration) -> bool {
        if self.change.last.is_some_and(|last| now > last + CHANGE_LASTS) {
            self.change = Change::default();
            self.set_rate(self.full_rate);
        }
        let is_open = now >= self.next_time();
        if !is_open {
            self.blocked_at = Some(now);
        }
        is_open
    }

    /// Counts a frame that leaves now. Returns whether it had to wait for the rate since it was due.
    pub fn handle_sent(&mut self, due: Duration, now: Duration) -> bool {
        self.empty_at = self.empty_at.max(now) + self.interval;
        self.blocked_at.is_some_and(|at| due <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 2000;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn a_thousand_frames_leave_within_half_a_second() {
        let mut pacer = Pacer::new(RATE);
        let (mut now, mut sent) = (us(7_000_000), 0);
        while sent < 1000 {
            while sent < 1000 && pacer.is_open(now) {
                pacer.handle_sent(now, now);
                sent += 1;
            }
            now += us(2_000);
        }
        assert!(now <= us(7_502_000), "{now:?}");
    }

    #[test]
    fn survivors_share_the_rate_and_return_to_it() {
        let mut pacer = Pacer::new(RATE);
        pacer.handle_change(250, 1000, us(0));
        assert_eq!(pacer.interval, Duration::from_nanos(1_000_000_000_u64.div_ceil(500 - 16)));
        pacer.handle_change(0, 1000, us(100));
        pacer.handle_change(1, 1000, us(200));
        assert_eq!(pacer.interval, Duration::from_nanos(1_000_000_000_u64.div_ceil(167 - 8)));
        assert!(pacer.is_open(us(6_000_000)));
        assert_eq!(pacer.interval, Duration::from_nanos(1_000_000_000_u64.div_ceil(2000 - 16)));
        pacer.handle_change(1, 1000, us(20_000_000));
        assert_eq!(pacer.interval, Duration::from_nanos(1_000_000_000_u64.div_ceil(50 - 2)));
    }

    proptest! {
        #[test]
        fn no_second_holds_more_frames_than_the_rate(
            rate in 1u32..3000,
            steps in proptest::collection::vec((0u64..20_000, 0u32..80), 1..300),
        ) {
            let mut pacer = Pacer::new(rate);
            let (mut now, mut sent) = (us(0), Vec::new());
            for (step, wanted) in steps {
                now += us(step);
                for _ in 0..wanted {
                    if pacer.is_open(now) {
                        pacer.handle_sent(now, now);
                        sent.push(now);
                    }
                }
            }
            for (first, at) in sent.iter().enumerate() {
                let within = sent[first..].iter().take_while(|other| **other < *at + us(1_000_000)).count();
                prop_assert!(within <= rate.max(1) as usize, "{within} from {at:?}");
            }
        }
    }
}
