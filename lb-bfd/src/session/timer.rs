//! When packets go out: negotiated intervals, jitter, and polls (RFC 5880 sections 6.5, 6.8.2, 6.8.3 and 6.8.7).

use std::time::Duration;

use super::config::SessionProfile;
use crate::state::BfdState;

/// While a session is not up, it is no use to be faster (RFC 5880 section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// The shortest interval that is one: zero has other meanings.
const SHORTEST: Duration = Duration::from_micros(1);

/// The longest interval that a packet can tell.
const LONGEST: Duration = Duration::from_micros(u32::MAX as u64);

/// The interval as a packet tells it, so that no side counts on another than what it says.
pub(super) fn encodable(interval: Duration) -> Duration {
    let bounded = interval.clamp(SHORTEST, LONGEST);
    Duration::from_micros(bounded.as_micros() as u64)
}

/// What this side announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) transmit: Duration,
    pub(super) receive: Duration,
}

impl Intervals {
    /// What a profile asks for. While echoes watch the path, packets need not (RFC 5880 section 6.8.9).
    pub(super) fn of(profile: &SessionProfile, state: BfdState, echo: bool) -> Self {
        let transmit = if state == BfdState::Up { profile.transmit } else { profile.transmit.max(SLOW) };
        let receive = if echo { profile.receive.max(SLOW) } else { profile.receive };
        Self { transmit: encodable(transmit), receive: encodable(receive) }
    }
}

#[derive(Clone, Debug)]
pub(super) struct TransmitTimer {
    /// What shall be announced.
    desired: Intervals,
    /// What is announced: it stays while a poll waits for its answer.
    advertised: Intervals,
    /// What counts: an announcement that would surprise the neighbor counts once it has answered.
    active: Intervals,
    polling: bool,
    /// A packet has gone out that polls for what is announced: a final before it answers an earlier poll.
    poll_sent: bool,
    last_sent: Duration,
    /// Share of the interval after which the next packet is sent, in 1/1024.
    share: u32,
    /// The neighbor does not know yet in what state this side is.
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

    pub(super) fn advertised(&self) -> Intervals {
        self.advertised
    }

    pub(super) fn active_receive(&self) -> Duration {
        self.active.receive
    }

    pub(super) fn is_polling(&self) -> bool {
        self.polling
    }

    /// The next packet is due at once.
    pub(super) fn handle_state_change(&mut self) {
        self.state_unsent = true;
    }

    /// Announces other intervals, and polls the neighbor if there is one: until it has answered, it is not sent to
    /// less often than it expects while the session is up, and not expected to send more often than it knows.
    pub(super) fn set(&mut self, desired: Intervals, state: BfdState, is_heard: bool) {
        self.desired = desired;
        if !is_heard {
            (self.advertised, self.active, self.polling) = (desired, desired, false);
        } else if state != BfdState::Up {
            // Slow at once, even if a poll is under way (RFC 5880 section 6.8.3).
            self.begin_poll();
            self.active.transmit = desired.transmit;
        } else if !self.polling {
            self.begin_poll();
        }
    }

    /// The neighbor has answered. What is wanted since was not in what it answered to: the next [`Self::set`] polls
    /// for it.
    pub(super) fn handle_final(&mut self) {
        if self.polling && self.poll_sent {
            self.polling = false;
            self.active = self.advertised;
        }
    }

    /// The poll is in the packets that are due anyway: none may be sent for its sake (RFC 5880 section 6.5).
    fn begin_poll(&mut self) {
        if self.advertised == self.desired {
            return;
        }
        self.advertised = self.desired;
        self.active.transmit = self.active.transmit.min(self.desired.transmit);
        self.active.receive = self.active.receive.max(self.desired.receive);
        (self.polling, self.poll_sent) = (true, false);
    }

    /// Time between two packets, before jitter.
    pub(super) fn transmit_interval(&self, remote_receive: Duration) -> Duration {
        self.active.transmit.max(remote_receive)
    }

    /// When the next packet is due; `None` where only news would be sent. It counts from the last one, so that a
    /// change of either side's interval takes effect at once, and nothing that is received puts it off.
    pub(super) fn transmit_at(&self, remote_receive: Duration, is_periodic: bool) -> Option<Duration> {
        if self.state_unsent {
            return Some(Duration::ZERO);
        }
        let interval = self.transmit_interval(remote_receive) * self.share / 1024;
        is_periodic.then(|| self.last_sent.saturating_add(interval))
    }

    /// A packet apart from the periodic ones has told the news.
    pub(super) fn handle_state_sent(&mut self) {
        self.state_unsent = false;
    }

    pub(super) fn handle_sent(&mut self, now: Duration, multiplier: u8) {
        self.state_unsent = false;
        self.poll_sent = self.polling;
        self.last_sent = now;
        // 75 to 100 percent; with a multiplier of one at most 90, or one late packet would be death.
        let (from, to) = if multiplier == 1 { (768, 921) } else { (768, 1024) };
        self.share = from + self.draw() % (to - from + 1);
    }

    /// A number that nobody can tell beforehand who does not know the seed: SplitMix64.
    fn draw(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}
