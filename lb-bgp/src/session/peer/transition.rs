//! State transitions and their consequences.

use std::time::Duration;

use super::{ConnectionDirection, Peer, PeerAction};
use crate::message::{Message, Open};
use crate::session::close_reason::{CloseReason, SessionClose};
use crate::session::connection::PeerConnection;
use crate::session::negotiated::Negotiated;
use crate::session::negotiation::{self, OfferContext};
use crate::session::refused_capabilities::{self, RefusedCapabilities};
use crate::session::state_table::{BgpEvent, BgpState, next};
use crate::value::HoldTime;

/// The closed session, as input of the retry schedule.
#[derive(Clone, Copy, Debug)]
struct PastSession {
    /// How long the session was up, if it was.
    lasted: Option<Duration>,
    /// The next OPEN offers less.
    offers_less: bool,
}

impl Peer {
    /// Moves a state machine through the table and acts on the difference between before and after.
    pub(super) fn step(&mut self, direction: ConnectionDirection, event: BgpEvent, now: Duration) {
        let before = self.fsm(direction).state;
        let after = next(before, event);
        self.fsm_mut(direction).state = after;
        if after != before {
            self.fsm_mut(direction).timer = None;
        }
        if after == BgpState::Connect && (before != after || event == BgpEvent::ConnectRetryTimerExpires) {
            self.fsm_mut(direction).timer = Some(now.saturating_add(self.config.connect_timeout));
            self.counters.connects += 1;
            self.actions.push_back(PeerAction::Connect);
        }
        if before != after && after == BgpState::Established {
            self.enter_established(direction, now);
        }
        self.update_reported_state(now);
    }

    /// Closes a connection or the attempt at one, and schedules the next.
    pub(super) fn close(
        &mut self,
        direction: ConnectionDirection,
        event: BgpEvent,
        reason: CloseReason,
        now: Duration,
    ) {
        let before = self.fsm(direction).state;
        let is_alone = self.fsm(direction.other()).connection.is_none();
        let connection = self.fsm_mut(direction).connection.take();
        let lasted = connection.as_ref().and_then(|connection| connection.lasted(now));
        if let Some(connection) = &connection
            && let Some(notification) = reason.notification(connection.negotiated.as_ref())
        {
            self.final_messages[direction as usize] =
                self.encode_one(&Message::Notification(notification), connection.max_sent());
        }
        self.step(direction, event, now);
        if needs_close(before, &reason) {
            self.actions.push_back(PeerAction::Close(direction));
        }
        let close = SessionClose { reason, state: before, at: now };
        // If another connection goes on, the loss of this one is irrelevant to the operator.
        if lasted.is_some() || is_alone && !close.reason.is_superseded() {
            self.close_history.record(close.clone());
        }
        let offers_less =
            connection.is_some_and(|connection| self.record_refusal(&connection, &close.reason, now));
        self.schedule_next(direction, &close.reason, PastSession { lasted, offers_less }, now);
        if lasted.is_some() {
            self.leave_established(close);
        }
        self.resume_deferred_open(direction, now);
    }

    fn enter_established(&mut self, direction: ConnectionDirection, now: Duration) {
        if let Some(connection) = &mut self.fsm_mut(direction).connection {
            connection.established_at = Some(now);
            let families = connection.families();
            let is_internal = connection.negotiated.as_ref().is_some_and(|negotiated| negotiated.internal);
            self.adj_out.begin_session(families, is_internal);
        }
        let by = now.saturating_add(self.config.connect_timeout);
        if let Some(rival) = &mut self.fsm_mut(direction.other()).connection {
            rival.shorten_hold_timer(by);
        }
        self.close_history.clear_latest();
        self.counters.established += 1;
        self.was_established = true;
        self.actions.push_back(PeerAction::Established(direction));
        if self.outgoing.state == BgpState::Connect {
            self.step(ConnectionDirection::Outgoing, BgpEvent::OpenCollisionDump, now);
            self.actions.push_back(PeerAction::Close(ConnectionDirection::Outgoing));
        }
    }

    fn leave_established(&mut self, close: SessionClose) {
        self.adj_out.end_session();
        self.counters.flaps += u64::from(!close.reason.is_intentional());
        self.actions.push_back(PeerAction::Down(close));
    }

    /// Records a refusal of capabilities; returns whether the next OPEN offers less (RFC 5492, section 3). If
    /// the reduced OPEN was refused, too, all are offered again.
    fn record_refusal(&mut self, connection: &PeerConnection, reason: &CloseReason, now: Duration) -> bool {
        let CloseReason::NotificationReceived(notification) = reason else { return false };
        if !refused_capabilities::is_refusal(notification) || connection.established_at.is_some() {
            return false;
        }
        let before = self.refused.take().map(|(refused, _)| refused);
        let refused =
            RefusedCapabilities::after(before.as_ref(), notification, &connection.ours.capabilities).filter(
                |refused| {
                    let context = OfferContext { refused: Some(refused), ..self.context(connection.local) };
                    let next = negotiation::offer(&self.config, context);
                    negotiation::is_useful(&self.config, connection.local.ip(), &next)
                },
            );
        self.actions
            .extend(refused.clone().filter(|_| refused != before).map(PeerAction::CapabilitiesRefused));
        self.refused = refused.map(|refused| (refused, now));
        self.refused.is_some()
    }

    /// Schedules incoming and outgoing connections after a close.
    fn schedule_next(
        &mut self,
        direction: ConnectionDirection,
        reason: &CloseReason,
        past: PastSession,
        now: Duration,
    ) {
        if !self.running {
            return;
        }
        let PastSession { lasted, offers_less } = past;
        let is_alone = self.fsm(direction.other()).connection.is_none();
        let has_failed = is_alone && !reason.is_superseded();
        let back_off = self.config.back_off;
        self.retry.record_session(back_off, lasted.unwrap_or_default());
        self.damping.record_session(back_off, lasted.unwrap_or_default());
        let at = if offers_less {
            // The next attempt differs from this one: no back-off.
            now.saturating_add(self.jitter.apply(back_off.initial))
        } else if has_failed || reason.holds_down() {
            now.saturating_add(self.retry.wait(back_off, &mut self.jitter))
        } else {
            now
        };
        if direction == ConnectionDirection::Incoming && reason.holds_down() {
            self.incoming.timer = Some(at);
        } else if direction == ConnectionDirection::Incoming
            && is_alone
            && !offers_less
            && matches!(reason, CloseReason::NotificationReceived(_))
            && let Some(wait) = self.damping.wait(back_off, &mut self.jitter)
        {
            self.incoming.timer = Some(now.saturating_add(wait));
        } else if self.incoming.state == BgpState::Idle && self.incoming.timer.is_none() {
            self.step(ConnectionDirection::Incoming, BgpEvent::AutomaticStartPassive, now);
        }
        let waits = matches!(self.outgoing.state, BgpState::Idle | BgpState::Active) && !self.config.passive;
        let is_unplanned = self.outgoing.timer.is_none_or(|timer| timer <= now);
        if has_failed
            && waits
            && (direction == ConnectionDirection::Outgoing || is_unplanned || lasted.is_some())
        {
            self.outgoing.timer = Some(at);
        }
    }

    /// Returns whether the timer of an unconnected state machine applies: none is opened beside an incoming
    /// connection on which the router has sent OPEN.
    pub(super) const fn may_start(&self, direction: ConnectionDirection) -> bool {
        match direction {
            ConnectionDirection::Outgoing => {
                !matches!(self.incoming.state, BgpState::OpenConfirm | BgpState::Established)
            }
            ConnectionDirection::Incoming => true,
        }
    }

    /// Handles the timer of an unconnected state machine.
    pub(super) fn check_fsm(&mut self, direction: ConnectionDirection, now: Duration) {
        if !self.fsm(direction).is_due(now) || !self.may_start(direction) {
            return;
        }
        self.fsm_mut(direction).timer = None;
        let event = match (direction, self.fsm(direction).state) {
            (ConnectionDirection::Outgoing, BgpState::Idle) => BgpEvent::AutomaticStart,
            (ConnectionDirection::Outgoing, BgpState::Active) => BgpEvent::ConnectRetryTimerExpires,
            (ConnectionDirection::Outgoing, BgpState::Connect) => {
                self.record_connect_timeout(now);
                BgpEvent::ConnectRetryTimerExpires
            }
            (ConnectionDirection::Incoming, BgpState::Idle) => BgpEvent::AutomaticStartPassive,
            (ConnectionDirection::Incoming, BgpState::Connect | BgpState::Active) => return,
            (_, BgpState::OpenSent | BgpState::OpenConfirm | BgpState::Established) => return,
        };
        self.step(direction, event, now);
    }

    fn record_connect_timeout(&mut self, now: Duration) {
        self.counters.connects_failed += 1;
        let reason = CloseReason::ConnectTimedOut(self.config.connect_timeout);
        self.close_history.record(SessionClose { reason, state: BgpState::Connect, at: now });
    }

    /// Handles the timers of a connection.
    pub(super) fn check_connection(&mut self, direction: ConnectionDirection, now: Duration) {
        let Some(connection) = &self.fsm(direction).connection else { return };
        let is_over = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if is_over(connection.hold_at) {
            let reason = CloseReason::HoldTimerExpired(connection.hold_time().unwrap_or_default());
            self.close(direction, BgpEvent::HoldTimerExpires, reason, now);
        } else if is_over(connection.send_hold_at()) {
            let reason = CloseReason::SendHoldTimerExpired(connection.send_hold_time());
            self.close(direction, BgpEvent::SendHoldTimerExpires, reason, now);
        } else if is_over(connection.keepalive_at) {
            self.schedule_keepalive(direction, now);
            self.step(direction, BgpEvent::KeepaliveTimerExpires, now);
        }
    }

    /// Schedules a KEEPALIVE now, and the next one.
    pub(super) fn schedule_keepalive(&mut self, direction: ConnectionDirection, now: Duration) {
        let Some(connection) = &self.fsm(direction).connection else { return };
        let interval = connection.negotiated.as_ref().and_then(|negotiated| negotiated.keepalive);
        let next = interval.map(|interval| now.saturating_add(self.jitter.apply(interval)));
        if let Some(connection) = &mut self.fsm_mut(direction).connection {
            connection.keepalive_pending = true;
            connection.keepalive_at = next;
        }
    }

    /// Closes a connection that does not match the new configuration, or applies the changes.
    pub(super) fn reconsider(&mut self, direction: ConnectionDirection, now: Duration) {
        let Some(connection) = &self.fsm(direction).connection else { return };
        let local = connection.local;
        let ours = negotiation::offer(&self.config, self.context(local));
        let agreed = connection
            .theirs
            .as_ref()
            .map(|theirs| negotiation::negotiate(&self.config, local.ip(), &ours, theirs));
        // Once both hold times are known, only the smaller one matters.
        let hold_time = connection.theirs.is_none().then_some(self.config.hold_time);
        let was = connection.theirs.is_none().then_some(connection.ours.hold_time);
        let stays = comparable(&ours) == comparable(&connection.ours)
            && hold_time == was
            && match (&agreed, &connection.negotiated) {
                (Some(Ok(agreed)), Some(negotiated)) => is_compatible(agreed, negotiated),
                (None, _) => true,
                (Some(_), _) => false,
            };
        if !stays {
            self.close(direction, BgpEvent::AutomaticStop, CloseReason::ConfigurationChanged, now);
        } else if let Some(Ok(agreed)) = agreed {
            self.apply_negotiated(direction, agreed);
        }
    }

    /// Applies negotiated parameters with another next hop or keepalive interval, which are ours alone to
    /// choose.
    fn apply_negotiated(&mut self, direction: ConnectionDirection, agreed: Negotiated) {
        let is_up = self.fsm(direction).state == BgpState::Established;
        let Some(connection) = &mut self.fsm_mut(direction).connection else { return };
        let former = connection.negotiated.replace(agreed.clone());
        for (family, next_hop) in agreed.next_hops {
            let was = former.as_ref().and_then(|former| former.next_hops.get(&family));
            if is_up && was != Some(&next_hop) {
                self.adj_out.refresh(family);
            }
        }
    }

    /// Retries at once after a configuration change.
    pub(super) fn reschedule(&mut self, now: Duration) {
        if !self.running {
            return;
        }
        if self.incoming.state == BgpState::Idle {
            self.step(ConnectionDirection::Incoming, BgpEvent::AutomaticStartPassive, now);
        }
        let waits = matches!(self.outgoing.state, BgpState::Idle | BgpState::Active);
        if self.config.passive && self.outgoing.connection.is_none() {
            if self.outgoing.state == BgpState::Connect {
                self.actions.push_back(PeerAction::Close(ConnectionDirection::Outgoing));
            }
            self.step(ConnectionDirection::Outgoing, BgpEvent::AutomaticStop, now);
            self.outgoing.timer = None;
        } else if waits && !self.config.passive && self.incoming.connection.is_none() {
            self.outgoing.timer = Some(now);
        }
    }

    /// Updates the reported state: the most advanced connection, else an attempt, else waiting.
    fn update_reported_state(&mut self, now: Duration) {
        let states = ConnectionDirection::BOTH.map(|direction| self.fsm(direction).state);
        let rank = |state: &BgpState| match state {
            BgpState::Idle => 0,
            BgpState::Active => 1,
            BgpState::Connect => 2,
            BgpState::OpenSent => 3,
            BgpState::OpenConfirm => 4,
            BgpState::Established => 5,
        };
        let state = states.into_iter().max_by_key(rank).unwrap_or(BgpState::Idle);
        if state != self.reported_state {
            self.reported_state = state;
            self.since = now;
        }
    }
}

/// Returns whether the driver still has a connection to close.
const fn needs_close(before: BgpState, reason: &CloseReason) -> bool {
    match reason {
        CloseReason::ConnectionClosed(_) | CloseReason::ConnectFailed(_) | CloseReason::Replaced => false,
        _ => matches!(before, BgpState::Connect) || before.is_connected(),
    }
}

/// Returns an OPEN without its momentary, informational and separately compared parts.
fn comparable(open: &Open) -> Open {
    let mut comparable = open.clone();
    comparable.hold_time = HoldTime::DEFAULT;
    comparable.capabilities.host_name = None;
    if let Some(graceful_restart) = &mut comparable.capabilities.graceful_restart {
        graceful_restart.restarted = false;
        graceful_restart.families.iter_mut().for_each(|(_, forwarding)| *forwarding = false);
    }
    comparable
}

/// Returns whether two negotiations differ at most in what is ours alone to choose.
fn is_compatible(one: &Negotiated, other: &Negotiated) -> bool {
    let families = |negotiated: &Negotiated| negotiated.next_hops.keys().copied().collect::<Vec<_>>();
    let rest = |negotiated: &Negotiated| Negotiated {
        next_hops: Default::default(),
        missing: Default::default(),
        keepalive: None,
        ..negotiated.clone()
    };
    families(one) == families(other) && rest(one) == rest(other)
}
