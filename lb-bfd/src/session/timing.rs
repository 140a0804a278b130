//! When packets go out: negotiated intervals, jitter, and polls (RFC 5880 sections 6.5, 6.8.2, 6.8.3 and 6.8.7).

use std::time::Duration;

use super::config::Profile;
use crate::state::State;

/// While a session is not up, it is no use to be faster (RFC 5880 section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// What this side announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) transmit: Duration,
    pub(super) receive: Duration,
}

impl Intervals {
    /// What a profile asks for. While echoes watch the path, packets need not (RFC 5880 section 6.8.9).
    pub(super) fn of(profile: &Profile, state: State, echo: bool) -> Self {
        let transmit = if state == State::Up { profile.transmit } else { profile.transmit.max(SLOW) };
        let receive = if echo { profile.receive.max(SLOW) } else { profile.receive };
        Self { transmit, receive }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Timing {
    /// What shall be announced.
    wanted: Intervals,
    /// What is announced: it stays while a poll waits for its answer.
    announced: Intervals,
    /// What counts: an announcement that would surprise the neighbor counts once it has answered.
    in_force: Intervals,
    polling: bool,
    last_sent: Duration,
    /// Share of the interval after which the next packet is sent, in 1/1024.
    share: u32,
    /// Something is news.
    hurry: bool,
    random: u64,
}

impl Timing {
    pub(super) fn new(wanted: Intervals, seed: u64, now: Duration) -> Self {
        let (announced, in_force) = (wanted, wanted);
        let hurry = true;
        Self { wanted, announced, in_force, polling: false, last_sent: now, share: 1024, hurry, random: seed }
    }

    pub(super) fn announced(&self) -> Intervals {
        self.announced
    }

    pub(super) fn receive_in_force(&self) -> Duration {
        self.in_force.receive
    }

    pub(super) fn is_polling(&self) -> bool {
        self.polling
    }

    /// The next packet is due at once.
    pub(super) fn hurry(&mut self) {
        self.hurry = true;
    }

    /// Announces other intervals. While the session is up, the neighbor is polled: until it has answered, it is
    /// not sent to less often than it expects, and not expected to send more often than it knows.
    pub(super) fn set(&mut self, wanted: Intervals, up: bool) {
        self.wanted = wanted;
        if !up {
            (self.announced, self.in_force, self.polling) = (wanted, wanted, false);
        } else if !self.polling {
            self.begin_poll();
        }
    }

    /// The neighbor has answered; true where a poll had asked it.
    pub(super) fn handle_final(&mut self) -> bool {
        if !self.polling {
            return false;
        }
        self.polling = false;
        self.in_force = self.announced;
        // What has changed since was not in what it answered to.
        self.begin_poll();
        true
    }

    fn begin_poll(&mut self) {
        if self.announced == self.wanted {
            return;
        }
        self.announced = self.wanted;
        self.in_force.transmit = self.in_force.transmit.min(self.wanted.transmit);
        self.in_force.receive = self.in_force.receive.max(self.wanted.receive);
        self.polling = true;
        self.hurry = true;
    }

    /// Time between two packets, before jitter.
    pub(super) fn transmit_interval(&self, remote_receive: Duration) -> Duration {
        self.in_force.transmit.max(remote_receive)
    }

    /// When the next packet is due. It counts from the last one, so that a change of either side's interval
    /// takes effect at once, and nothing that is received puts it off.
    pub(super) fn transmit_at(&self, remote_receive: Duration) -> Duration {
        if self.hurry {
            return Duration::ZERO;
        }
        self.last_sent + self.transmit_interval(remote_receive) * self.share / 1024
    }

    pub(super) fn handle_sent(&mut self, now: Duration, multiplier: u8) {
        self.hurry = false;
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
