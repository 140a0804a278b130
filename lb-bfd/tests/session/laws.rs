//! Invariants of a session for arbitrary octets, times and profiles.
//!
//! Shared with the fuzz target.

use std::time::Duration;

use lb_bfd::session::{Discriminator, Hops, ReceivedPacket, Session, SessionConfig, SessionProfile};
use lb_bfd::state::BfdState;
use lb_common::wire::bfd::{self, Control};

const LOCAL: u32 = 0x0a0b_0c0d;

/// Interprets the octets as a script: an opcode, followed by its operands. Returns how often the session came
/// up.
pub(crate) fn check(octets: &[u8]) -> u64 {
    let mut script = Script { octets };
    let Some(mut run) = Run::begin(&mut script) else { return 0 };
    while let Some(what) = script.byte() {
        if run.go_on(what, &mut script).is_none() {
            break;
        }
        run.drive();
    }
    run.session.view().counters.up_events
}

struct Script<'a> {
    octets: &'a [u8],
}

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.octets.split_first_chunk()?;
        self.octets = rest;
        Some(*head)
    }

    /// From zero to more than a packet can encode, mostly realistic.
    fn interval(&mut self) -> Option<Duration> {
        Some(match self.byte()? {
            0 => Duration::ZERO,
            1 => Duration::from_nanos(1),
            2 => Duration::from_micros(1),
            3 => Duration::MAX,
            byte => Duration::from_millis(u64::from(byte) * 5),
        })
    }

    fn profile(&mut self) -> Option<SessionProfile> {
        let (transmit, receive, echo) = (self.interval()?, self.interval()?, self.interval()?);
        let [multiplier, flags] = self.array()?;
        Some(SessionProfile {
            transmit,
            receive,
            multiplier,
            echo: Some(echo).filter(|_| flags & 1 != 0),
            passive: flags & 2 != 0,
        })
    }

    /// A valid packet except for what the script corrupts.
    fn packet(&mut self) -> Option<[u8; bfd::LENGTH]> {
        let [state_and_flags, multiplier, sender, receiver] = self.array()?;
        let intervals = [self.interval()?, self.interval()?, self.interval()?];
        let micros =
            |interval: Duration| u32::try_from(interval.as_micros()).unwrap_or(u32::MAX).to_be_bytes();
        let control = Control {
            version_and_diagnostic: bfd::VERSION | (sender >> 3),
            state_and_flags: state_and_flags & !(bfd::AUTHENTICATION | bfd::MULTIPOINT),
            multiplier,
            length: bfd::LENGTH as u8,
            my_discriminator: u32::from(sender).to_be_bytes(),
            your_discriminator: if receiver & 1 == 0 { LOCAL } else { 0 }.to_be_bytes(),
            intervals: intervals.map(micros),
        };
        Some(control.to_bytes())
    }
}

struct Run {
    session: Session,
    now: Duration,
    state: BfdState,
}

impl Run {
    fn begin(script: &mut Script<'_>) -> Option<Self> {
        let profile = script.profile()?;
        let flags = script.byte()?;
        let config = SessionConfig {
            local: Discriminator::new(LOCAL)?,
            hops: if flags & 1 == 0 { Hops::Single } else { Hops::Multi { minimum_ttl: 250 } },
            profile,
            control_plane_independent: flags & 2 != 0,
            echo_receive: script.interval()?,
        };
        let now = Duration::ZERO;
        Some(Self { session: Session::new(config, u64::from(flags), now), now, state: BfdState::Down })
    }

    fn go_on(&mut self, what: u8, script: &mut Script<'_>) -> Option<()> {
        let behind = Duration::from_millis(u64::from(what >> 4) * 40);
        let at = self.now.saturating_sub(behind);
        match what & 7 {
            0 => {
                let bytes: [u8; bfd::LENGTH + 2] = script.array()?;
                let length = usize::from(what >> 3).min(bytes.len());
                self.receive(&bytes[..length], 255, at);
            }
            1 => self.receive(&script.packet()?, 255, at),
            2 => self.receive(&script.packet()?, script.byte()?, at),
            // Longer than any detection time, but short of the end of `Duration`.
            3 => self.now += script.interval()?.min(Duration::from_secs(2_000_000)),
            4 => self.session.set_profile(script.profile()?, self.now),
            5 => self.session.set_admin_down(what & 8 == 0, self.now),
            6 => self.session.handle_recorded(&script.packet()?, at),
            _ => self.session.handle_echo(at),
        }
        Some(())
    }

    fn receive(&mut self, bytes: &[u8], ttl: u8, at: Duration) {
        let before = (self.session.view(), self.session.next_deadline());
        if self.session.handle_packet(&ReceivedPacket { bytes, ttl, at }).is_err() {
            let mut after = (self.session.view(), self.session.next_deadline());
            after.0.counters.rejected.clone_from(&before.0.counters.rejected);
            assert_eq!(before, after, "a rejected packet has no effect");
        }
    }

    /// Acts as a driver and checks the invariants of each turn.
    fn drive(&mut self) {
        self.session.handle_time(self.now);
        let packets: Vec<_> = std::iter::from_fn(|| self.session.poll_packet(self.now)).take(3).collect();
        assert!(packets.len() < 3, "at most an answer and a packet at a time");
        for packet in &packets {
            self.check_packet(packet);
        }
        let echoes = std::iter::from_fn(|| self.session.poll_echo(self.now).then_some(())).take(2).count();
        assert!(echoes < 2, "at most one echo at a time");
        while let Some(change) = self.session.poll_change() {
            assert_eq!(change.from, self.state, "no state change is missing");
            assert_ne!(change.from, change.to, "a state change changes the state");
            self.state = change.to;
        }
        assert_eq!(self.session.state(), self.state, "every state change is reported");
        let deadline = self.session.next_deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline > self.now),
            "{deadline:?} is not after {:?}",
            self.now
        );
    }

    fn check_packet(&self, packet: &[u8; bfd::LENGTH]) {
        let control = Control::from_bytes(packet);
        assert!(control.is_sound(), "{control:?}");
        let both = bfd::POLL | bfd::FINAL;
        assert_ne!(control.state_and_flags & both, both, "{control:?}");
        assert_eq!(BfdState::from_bits(control.state_and_flags >> 6), self.session.state());
        let transmit = u32::from_be_bytes(control.intervals[0]);
        assert!(
            self.session.state() == BfdState::Up || transmit >= 1_000_000,
            "fast while down: {control:?}"
        );
        assert!(control.intervals[..2].iter().all(|interval| *interval != [0; 4]), "{control:?}");
    }
}
