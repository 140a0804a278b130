//! Timing of transmitted packets: negotiated intervals, jitter, and poll sequences (RFC 5880, sections 6.5,
//! 6.8.2, 6.8.3 and 6.8.7).

use std::time::Duration;

use super::config::SessionProfile;
use crate::state::BfdState;

/// Minimum transmit interval of a session that is not up (RFC 5880, section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// The shortest interval; zero has other meanings.
const SHORTEST: Duration = Duration::from_micros(1);

/// The longest interval that a packet can encode.
const LONGEST: Duration = Duration::from_micros(u32::MAX as u64);

/// Rounds an interval to what a packet can encode, so that both sides use the same value.
pub(super) fn encodable(interval: Duration) -> Duration {
    let bounded = interval.clamp(SHORTEST, LONGEST);
    Duration::from_micros(bounded.as_micros() as u64)
}

/// The intervals that this side advertises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) transmit: Duration,
    pub(super) receive: Duration,
}

impl Intervals {
    /// Returns the intervals of a profile. While echoes monitor the path, control packets may be slow (RFC
    /// 5880, section 6.8.9).
    pub(super) fn of(profile: &SessionProfile, state: BfdState, echo: bool) -> Self {
        let transmit = if state == BfdState::Up { profile.transmit } else { profile.transmit.max(SLOW) };
        let receive = if echo { profile.receive.max(SLOW) } else { profile.receive };
        Self { transmit: encodable(transmit), receive: encodable(receive) }
    }
}

#[derive(Clone, Debug)]
pub(super) struct TransmitTimer {
    /// To be advertised.
    desired: Intervals,
    /// Advertised: fixed while a poll sequence is in progress.
    advertised: Intervals,
    /// In effect: a change that would surprise the peer takes effect once it has answered.
    active: Intervals,
    polling: bool,
    /// A packet with the poll bit has advertised the intervals; an earlier final answers an earlier poll.
    poll_sent: bool,
    last_sent: Duration,
    /// Share of the interval until the next packet, in 1/1024.
    share: u32,
    /// The current state has not been sent yet.
    state_unsent: bool,
    random: u64,
}

impl TransmitTimer {
    pub(super) fn new(desired: Intervals, seed: u64, now: Duration) -> Self {
        let (advertised, active) = (desired, desired);
        Self {
            desired,
            advertised,
            active,
            polling: false,
            poll_sent: false,
            last_sent: now,
            share: 1024,
            state_unsent: true,
            random: seed,
        }
    }

    /// Returns the timer of a session that has advertised these intervals; its next packet is due.
    pub(super) fn adopt(intervals: Intervals, seed: u64, now: Duration) -> Self {
        let last_sent = now.saturating_sub(intervals.transmit);
        Self { last_sent, state_unsent: false, ..Self::new(intervals, seed, now) }
    }

    pub(super) fn advertised(&self) -> Intervals {
        self.advertised
    }

    pub(super) fn active_receive(&self) -> Duration {
        self.active.receive
    }

    pub(super) fn is_polling(&self) -> bool {
        self.polling
    }

    /// Makes the next packet due at once.
    pub(super) fn handle_state_change(&mut self) {
        self.state_unsent = true;
    }

    /// Advertises other intervals; if a peer is heard, by a poll sequence. Until the answer, an Up session
    /// neither sends less often than the peer expects nor expects packets more often than the peer knows.
    pub(super) fn set(&mut self, desired: Intervals, state: BfdState, is_heard: bool) {
        self.desired = desired;
        if !is_heard {
            (self.advertised, self.active, self.polling) = (desired, desired, false);
        } else if state != BfdState::Up {
            // Slow at once, even during a poll sequence (RFC 5880, section 6.8.3).
            self.begin_poll();
            self.active.transmit = desired.transmit;
        } else if !self.polling {
            self.begin_poll();
        }
    }

    /// Ends the poll sequence on the peer's answer. Later changes were not covered by it: the next
    /// [`Self::set`] starts another poll sequence for them.
    pub(super) fn handle_final(&mut self) {
        if self.polling && self.poll_sent {
            self.polling = false;
            self.active = self.advertised;
        }
    }

    /// Starts a poll sequence in the packets due anyway: none may be sent for it alone (RFC 5880, section
    /// 6.5).
    fn begin_poll(&mut self) {
        if self.advertised == self.desired {
            return;
        }
        self.advertised = self.desired;
        self.active.transmit = self.active.transmit.min(self.desired.transmit);
        self.active.receive = self.active.receive.max(self.desired.receive);
        (self.polling, self.poll_sent) = (true, false);
    }

    /// Returns the transmit interval before jitter.
    pub(super) fn transmit_interval(&self, remote_receive: Duration) -> Duration {
        self.active.transmit.max(remote_receive)
    }

    /// Returns when the next packet is due; `None` if only a state change would be sent. The interval counts
    /// from the last packet, so that a change of either side takes effect at once and received packets do not
    /// postpone it.
    pub(super) fn transmit_at(&self, remote_receive: Duration, is_periodic: bool) -> Option<Duration> {
        if self.state_unsent {
            return Some(Duration::ZERO);
        }
        let interval = self.transmit_interval(remote_receive) * self.share / 1024;
        is_periodic.then(|| self.last_sent.saturating_add(interval))
    }

    /// Records that a non-periodic packet has sent the state.
    pub(super) fn handle_state_sent(&mut self) {
        self.state_unsent = false;
    }

    pub(super) fn handle_sent(&mut self, now: Duration, multiplier: u8) {
        self.state_unsent = false;
        self.poll_sent = self.polling;
        self.last_sent = now;
        // 75 to 100 percent. With a multiplier of one at most 90, or a single late packet would end the
        // session.
        let (from, to) = if multiplier == 1 { (768, 921) } else { (768, 1024) };
        self.share = from + self.draw() % (to - from + 1);
    }

    /// Returns a number that is unpredictable without the seed: SplitMix64.
    fn draw(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}
