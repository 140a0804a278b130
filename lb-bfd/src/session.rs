//! A session with one peer: asynchronous mode of RFC 5880, single-hop (RFC 5881) or multihop (RFC 5883).
//!
//! A driver hands in received packets with their time of arrival, sends what is due, and wakes at
//! [`Session::next_deadline`]. It must hand in all received packets before the current time: then a stalled
//! process does not mistake its own silence for the peer's.

mod config;
mod echo;
mod kept;
pub(crate) mod packet;
mod timer;
mod view;

pub use config::{Discriminator, Hops, SessionConfig, SessionProfile};
pub use kept::{KeptSession, LeftSession};
pub use packet::{PacketError, ReceivedPacket};
pub use view::{SessionCounters, SessionView, StateChange};

use std::collections::VecDeque;
use std::time::Duration;

use lb_common::wire::bfd::{self, Control};

use crate::state::{BfdEvent, BfdState, Diagnostic, next};
use echo::EchoTransmitter;
use packet::ValidPacket;
use timer::{Intervals, TransmitTimer};

/// A session with one peer.
#[derive(Clone, Debug)]
pub struct Session {
    config: SessionConfig,
    state: BfdState,
    diagnostic: Diagnostic,
    since: Duration,
    remote: RemoteState,
    /// Arrival of the peer's last packet; `None` once the detection time has expired.
    last_received: Option<Duration>,
    /// That packet, without its Poll and Final bits.
    last_packet: Option<[u8; bfd::LENGTH]>,
    timer: TransmitTimer,
    echo: EchoTransmitter,
    /// The peer's poll is unanswered.
    final_due: bool,
    changes: VecDeque<StateChange>,
    counters: SessionCounters,
}

/// The peer's last reported values (RFC 5880, section 6.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RemoteState {
    discriminator: u32,
    state: BfdState,
    diagnostic: Diagnostic,
    demand: bool,
    multiplier: u8,
    desired_transmit: Duration,
    required_receive: Duration,
    required_echo: Duration,
}

impl Default for RemoteState {
    fn default() -> Self {
        Self {
            discriminator: 0,
            state: BfdState::Down,
            diagnostic: Diagnostic::None,
            demand: false,
            multiplier: 0,
            desired_transmit: Duration::ZERO,
            // One microsecond: no limit until the peer reports one.
            required_receive: Duration::from_micros(1),
            required_echo: Duration::ZERO,
        }
    }
}

impl RemoteState {
    const fn of(packet: &ValidPacket) -> Self {
        Self {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            demand: packet.demand,
            multiplier: packet.multiplier,
            desired_transmit: packet.desired_transmit,
            required_receive: packet.required_receive,
            required_echo: packet.required_echo,
        }
    }
}

impl Session {
    /// Returns a session that is down. `seed` spreads its packets; all times, including `now`, count from one
    /// origin that the caller chooses.
    pub fn new(config: SessionConfig, seed: u64, now: Duration) -> Self {
        let desired = Intervals::of(&config.profile, BfdState::Down, false);
        Self {
            state: BfdState::Down,
            diagnostic: Diagnostic::None,
            since: now,
            remote: RemoteState::default(),
            last_received: None,
            last_packet: None,
            timer: TransmitTimer::new(desired, seed, now),
            echo: EchoTransmitter::default(),
            final_due: false,
            changes: VecDeque::new(),
            counters: SessionCounters::default(),
            config,
        }
    }

    /// Returns the state.
    pub fn state(&self) -> BfdState {
        self.state
    }

    /// Returns the configuration.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// Handles a packet received for this session (RFC 5880, section 6.8.6).
    ///
    /// # Errors
    /// If the packet is discarded; the reason is counted.
    pub fn handle_packet(&mut self, received: &ReceivedPacket<'_>) -> Result<(), PacketError> {
        let packet = packet::validate(received, &self.config).inspect_err(|error| {
            *self.counters.rejected.entry(error.label()).or_default() += 1;
        })?;
        self.counters.received += 1;
        self.last_received =
            Some(self.last_received.map_or(received.at, |last_received| last_received.max(received.at)));
        self.remote = RemoteState::of(&packet);
        self.last_packet =
            received.bytes.first_chunk().map(|bytes| bfd::bytes(&bfd::repeated(bfd::words(bytes))));
        if packet.is_final {
            self.timer.handle_final();
        }
        if self.state == BfdState::AdminDown {
            return Ok(());
        }
        self.step(BfdEvent::Received(packet.state), received.at);
        // A poll is answered at once, regardless of the timers (RFC 5880, section 6.5).
        self.final_due |= packet.is_poll;
        Ok(())
    }

    /// Handles a returned echo packet of this session.
    pub fn handle_echo(&mut self, at: Duration) {
        self.counters.echo_received += 1;
        self.echo.handle_return(at, self.multiplier());
    }

    /// Handles expired timers.
    pub fn handle_time(&mut self, now: Duration) {
        if self.detection_deadline().is_some_and(|deadline| now >= deadline) {
            self.step(BfdEvent::Expired, now);
            self.reset_remote();
            self.update_timer(now);
        }
        if self.echo.has_failed(now, self.multiplier()) {
            self.step(BfdEvent::EchoFailed, now);
        }
    }

    /// Replaces the intervals without a state change.
    pub fn set_profile(&mut self, profile: SessionProfile, now: Duration) {
        self.config.profile = profile;
        self.update_timer(now);
    }

    /// Sets the C bit: whether the session continues while the control plane is down.
    pub fn set_control_plane_independent(&mut self, independent: bool) {
        self.config.control_plane_independent = independent;
    }

    /// Sets the required minimum echo receive interval; zero to loop none. The next packet advertises it.
    pub fn set_echo_receive(&mut self, interval: Duration) {
        self.config.echo_receive = interval;
    }

    /// Holds the session down administratively, or releases it.
    pub fn set_admin_down(&mut self, down: bool, now: Duration) {
        self.final_due &= !down;
        self.step(if down { BfdEvent::Disabled } else { BfdEvent::Enabled }, now);
    }

    /// Returns a packet to send now; call it until it returns `None`.
    pub fn poll_packet(&mut self, now: Duration) -> Option<[u8; bfd::LENGTH]> {
        if self.final_due {
            self.final_due = false;
            // The answer reports the state, too; the periodic schedule continues.
            self.timer.handle_state_sent();
            self.counters.sent += 1;
            return Some(self.packet(bfd::FINAL));
        }
        if self.transmit_at().is_none_or(|due| now < due) {
            return None;
        }
        self.timer.handle_sent(now, self.multiplier());
        self.counters.sent += 1;
        Some(self.packet(if self.timer.is_polling() { bfd::POLL } else { 0 }))
    }

    /// Returns whether an echo packet is due now; the caller builds it.
    pub fn poll_echo(&mut self, now: Duration) -> bool {
        let sent = self.echo.poll(now, self.multiplier());
        self.counters.echo_sent += u64::from(sent);
        sent
    }

    /// Returns the oldest state change not yet returned.
    pub fn poll_change(&mut self) -> Option<StateChange> {
        self.changes.pop_front()
    }

    /// Returns when timers are due; `None` if only a packet can trigger an action.
    pub fn next_deadline(&self) -> Option<Duration> {
        let answer = self.final_due.then_some(Duration::ZERO);
        let echo = self.echo.next_deadline();
        [self.transmit_at(), self.detection_deadline(), echo, answer].into_iter().flatten().min()
    }

    /// Returns a snapshot.
    pub fn view(&self) -> SessionView {
        SessionView {
            state: self.state,
            diagnostic: self.diagnostic,
            since: self.since,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            remote_discriminator: self.remote.discriminator,
            transmit_interval: self.timer.transmit_interval(self.remote.required_receive),
            detection_time: self.detection_time(),
            echo_interval: self.echo.interval(),
            counters: self.counters.clone(),
        }
    }

    /// Resets the peer's values after the detection time: the next packet may come from a restarted peer (RFC
    /// 5880, section 6.8.1), and an outstanding poll gets no answer. Its receive interval is kept, except
    /// zero: two sides that each wait for the other would wait forever.
    fn reset_remote(&mut self) {
        let unheard = RemoteState::default();
        let required_receive = self.remote.required_receive.max(unheard.required_receive);
        self.remote = RemoteState { required_receive, ..unheard };
        self.last_received = None;
        self.final_due = false;
    }

    /// Moves the state machine and records the change.
    fn step(&mut self, event: BfdEvent, now: Duration) {
        // A packet may be handed in after a later time was reported.
        let now = now.max(self.since);
        let (to, diagnostic) = next(self.state, event);
        if let Some(diagnostic) = diagnostic {
            self.diagnostic = diagnostic;
        }
        let from = std::mem::replace(&mut self.state, to);
        if from != to {
            self.since = now;
            self.counters.up_events += u64::from(to == BfdState::Up);
            self.counters.down_events += u64::from(from == BfdState::Up);
            if to == BfdState::Up {
                self.diagnostic = Diagnostic::None;
            }
            let (diagnostic, remote) = (self.diagnostic, self.remote.state);
            self.changes.push_back(StateChange { from, to, diagnostic, remote, at: now });
            // A state change is sent at once (RFC 5880, section 6.8.7).
            self.timer.handle_state_change();
        }
        self.update_timer(now);
    }

    /// Applies the intervals that result from state, profile and peer.
    fn update_timer(&mut self, now: Duration) {
        let echo = self.config.profile.echo.filter(|_| {
            self.config.hops == Hops::Single
                && self.state == BfdState::Up
                && !self.remote.required_echo.is_zero()
        });
        self.echo.set(echo.map(|interval| timer::encodable(interval).max(self.remote.required_echo)), now);
        let desired = Intervals::of(&self.config.profile, self.state, echo.is_some());
        self.timer.set(desired, self.state, self.remote.discriminator != 0);
    }

    /// Returns when the next packet is due, if any.
    fn transmit_at(&self) -> Option<Duration> {
        if self.config.profile.passive && self.remote.discriminator == 0 {
            return None;
        }
        self.timer.transmit_at(self.remote.required_receive, self.is_periodic())
    }

    /// Returns whether the peer wants periodic packets (RFC 5880, section 6.8.7).
    fn is_periodic(&self) -> bool {
        let both_up = self.state == BfdState::Up && self.remote.state == BfdState::Up;
        let on_demand = self.remote.demand && both_up && !self.timer.is_polling();
        !self.remote.required_receive.is_zero() && !on_demand
    }

    /// Returns the multiplier, at least one: a peer discards packets with zero.
    fn multiplier(&self) -> u8 {
        self.config.profile.multiplier.max(1)
    }

    /// Returns the detection time (RFC 5880, section 6.8.4).
    fn detection_time(&self) -> Duration {
        let interval = self.timer.active_receive().max(self.remote.desired_transmit);
        interval * u32::from(self.remote.multiplier)
    }

    fn detection_deadline(&self) -> Option<Duration> {
        Some(self.last_received?.saturating_add(self.detection_time()))
    }

    fn packet(&self, flag: u8) -> [u8; bfd::LENGTH] {
        let advertised = self.timer.advertised();
        let independent = if self.config.control_plane_independent { bfd::INDEPENDENT } else { 0 };
        // Multihop sessions have no echo function (RFC 5883, section 3).
        let echo = if self.config.hops == Hops::Single { self.config.echo_receive } else { Duration::ZERO };
        Control {
            version_and_diagnostic: bfd::VERSION | self.diagnostic.code(),
            state_and_flags: self.state.bits() << 6 | flag | independent,
            multiplier: self.multiplier(),
            length: bfd::LENGTH as u8,
            my_discriminator: self.config.local.get().to_be_bytes(),
            your_discriminator: self.remote.discriminator.to_be_bytes(),
            intervals: [advertised.transmit, advertised.receive, echo].map(packet::micros),
        }
        .to_bytes()
    }
}

#[cfg(test)]
mod tests;
