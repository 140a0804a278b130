//! Sessions that outlive their process: what the XDP program needs to answer the peer meanwhile, and the
//! adoption by the next process.

use std::time::Duration;

use lb_common::wire::bfd::{self, Control};

use super::config::SessionConfig;
use super::packet::{self, ReceivedPacket};
use super::timer::{Intervals, TransmitTimer};
use super::{RemoteState, Session};
use crate::state::{BfdEvent, BfdState};

/// What it takes to answer for a session that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSession {
    /// The packet to answer with.
    pub ours: [u8; bfd::LENGTH],
    /// The peer's last packet, without its Poll and Final bits.
    pub theirs: [u8; bfd::LENGTH],
    /// Silence of this side after which the peer's packets are to be answered; `None` if the peer sends too
    /// rarely for its own packets to be the clock.
    pub late_after: Option<Duration>,
    /// Minimum time between two answers.
    pub answer_interval: Duration,
}

/// A session that another process has left, and that the XDP program has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftSession {
    /// The packet that it answered with.
    pub ours: [u8; bfd::LENGTH],
    /// The peer's last packet.
    pub theirs: [u8; bfd::LENGTH],
    /// Arrival of that packet.
    pub heard: Duration,
}

impl Session {
    /// Returns what it takes to answer for this session; `None` unless both sides are up.
    pub fn kept(&self) -> Option<KeptSession> {
        let theirs = self.last_packet.filter(|_| self.are_both_up())?;
        let mut ours = self.packet(0);
        ours[1] |= bfd::INDEPENDENT;
        let required_receive = self.remote.required_receive;
        let transmit = self.timer.advertised().transmit.max(required_receive);
        let receive = self.timer.active_receive().max(self.remote.desired_transmit);
        let detection = transmit * u32::from(self.multiplier());
        let late_after = late_after(transmit, receive, detection).filter(|_| !required_receive.is_zero());
        // As often as jitter lets a sender send (RFC 5880, section 6.8.7).
        Some(KeptSession { ours, theirs, late_after, answer_interval: required_receive * 3 / 4 })
    }

    /// Returns a session that continues one that was left up; `None` if it is no session of this
    /// configuration, or if the peer has not been heard for its detection time. Other intervals in the
    /// configuration take effect by a poll sequence.
    pub fn adopt(config: SessionConfig, left: &LeftSession, seed: u64, now: Duration) -> Option<Self> {
        let ours = packet::parse(&left.ours).ok()?;
        let received = ReceivedPacket { bytes: &left.theirs, ttl: u8::MAX, at: left.heard };
        let theirs = packet::validate(&received, &config).ok()?;
        let is_ours = ours.my_discriminator == config.local.get().to_be_bytes()
            && ours.your_discriminator == theirs.my_discriminator.to_be_bytes()
            && BfdState::from_bits(ours.state_and_flags >> 6) == BfdState::Up;
        if !is_ours || theirs.state != BfdState::Up {
            return None;
        }
        let intervals = intervals(&ours);
        let mut session = Self::new(config, seed, now);
        session.state = BfdState::Up;
        session.last_received = Some(left.heard);
        session.last_packet = Some(left.theirs);
        session.timer = TransmitTimer::adopt(intervals, seed, now);
        session.remote = RemoteState::of(&theirs);
        if session.detection_deadline().is_none_or(|deadline| now >= deadline) {
            return None;
        }
        session.update_timer(now);
        Some(session)
    }

    /// Handles a packet of this session that the XDP program has recorded, and possibly answered. Does
    /// nothing if a later one has been handled.
    pub fn handle_recorded(&mut self, bytes: &[u8; bfd::LENGTH], at: Duration) {
        if self.state != BfdState::Up || self.last_received.is_none_or(|last_received| at <= last_received) {
            return;
        }
        let received = ReceivedPacket { bytes, ttl: u8::MAX, at };
        let Ok(packet) = packet::validate(&received, &self.config) else { return };
        self.last_received = Some(at);
        if self.last_packet != Some(*bytes) {
            self.last_packet = Some(*bytes);
            self.remote = RemoteState::of(&packet);
            self.step(BfdEvent::Received(packet.state), at);
        }
    }

    fn are_both_up(&self) -> bool {
        self.state == BfdState::Up && self.remote.state == BfdState::Up
    }
}

/// Returns the silence of this side after which the peer's packets are to be answered: a late packet of this
/// side and the peer's next packet fit into the detection time at the peer, with a margin of a quarter of the
/// peer's interval.
pub(super) fn late_after(transmit: Duration, receive: Duration, detection: Duration) -> Option<Duration> {
    let latest = detection.checked_sub(receive * 5 / 4)?;
    Some(transmit.min(latest)).filter(|late_after| !late_after.is_zero())
}

fn intervals(packet: &Control) -> Intervals {
    let [transmit, receive, _] = packet.intervals.map(packet::duration);
    Intervals { transmit, receive }
}
