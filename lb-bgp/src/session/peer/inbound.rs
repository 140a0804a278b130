//! Handling of received messages.

use std::mem;
use std::time::Duration;

use super::{ConnectionDirection, Peer};
use crate::codec::{self, MessageError};
use crate::message::{ErrorHandling, MAX_MESSAGE, Message, Open, Update};
use crate::session::close_reason::CloseReason;
use crate::session::connection::PeerConnection;
use crate::session::negotiation;
use crate::session::state_table::{BgpEvent, BgpState, next};

/// Offset of the message type.
const KIND: usize = 18;

impl Peer {
    pub(super) fn receive(&mut self, direction: ConnectionDirection, bytes: &[u8], now: Duration) {
        let Some(connection) = &mut self.fsm_mut(direction).connection else { return };
        let mut inbox = mem::take(&mut connection.inbox);
        inbox.extend_from_slice(bytes);
        let mut rest = inbox.as_slice();
        while let Some(connection) =
            self.fsm(direction).connection.as_ref().filter(|connection| connection.deferred_open.is_none())
        {
            match codec::frame(rest, connection.max_received()) {
                Ok(Some(length)) => {
                    let (message, following) = rest.split_at(length.min(rest.len()));
                    rest = following;
                    self.handle_message(direction, message, now);
                }
                Ok(None) => break,
                Err(error) => self.reject(direction, BgpEvent::BgpHeaderErr, error, now),
            }
        }
        let Some(connection) = &mut self.fsm_mut(direction).connection else { return };
        if connection.deferred_open.is_some() && rest.len() > MAX_MESSAGE {
            let (message, state) = ("data before our KEEPALIVE", BgpState::OpenSent);
            return self.close(
                direction,
                BgpEvent::UpdateMsg,
                CloseReason::UnexpectedMessage { message, state },
                now,
            );
        }
        connection.inbox = rest.to_vec();
    }

    fn handle_message(&mut self, direction: ConnectionDirection, bytes: &[u8], now: Duration) {
        let Some(connection) = &self.fsm(direction).connection else { return };
        match decode(connection, bytes) {
            Ok(message) => {
                self.counters.received.count(&message);
                self.handle_valid(direction, message, now);
            }
            Err(error) => self.reject(direction, error_event(bytes), error, now),
        }
    }

    fn reject(
        &mut self,
        direction: ConnectionDirection,
        event: BgpEvent,
        error: MessageError,
        now: Duration,
    ) {
        self.counters.malformed += 1;
        self.close(direction, event, CloseReason::MalformedMessage(error), now);
    }

    fn handle_valid(&mut self, direction: ConnectionDirection, message: Message, now: Duration) {
        let state = self.fsm(direction).state;
        let event = event(&message);
        if !next(state, event).is_connected() && !matches!(message, Message::Notification(_)) {
            self.close(
                direction,
                event,
                CloseReason::UnexpectedMessage { message: name(&message), state },
                now,
            );
            return;
        }
        match message {
            Message::Open(theirs) => return self.handle_open(direction, theirs, now),
            Message::Notification(notification) => {
                return self.close(direction, event, CloseReason::NotificationReceived(notification), now);
            }
            Message::Update(update) => self.record_update(&update),
            Message::RouteRefresh(Some(family)) => self.adj_out.refresh(family),
            Message::Keepalive | Message::RouteRefresh(None) => {}
        }
        if let Some(connection) = &mut self.fsm_mut(direction).connection {
            connection.restart_hold_timer(now);
        }
        self.step(direction, event, now);
    }

    pub(super) fn handle_open(&mut self, direction: ConnectionDirection, theirs: Open, now: Duration) {
        let Some(connection) = &self.fsm(direction).connection else { return };
        let negotiated =
            match negotiation::negotiate(&self.config, connection.local.ip(), &connection.ours, &theirs) {
                Ok(negotiated) => negotiated,
                Err(reason) => return self.close(direction, BgpEvent::BgpOpenMsgErr, reason, now),
            };
        if !self.survives_collision(direction, &theirs, now) {
            return;
        }
        if let Some(connection) = &mut self.fsm_mut(direction).connection {
            connection.theirs = Some(theirs);
            connection.negotiated = Some(negotiated);
            connection.restart_hold_timer(now);
        }
        self.schedule_keepalive(direction, now);
        self.step(direction, BgpEvent::BgpOpen, now);
    }

    /// Counts an UPDATE's routes; none is installed.
    fn record_update(&mut self, update: &Update) {
        let prefixes = &mut self.counters.prefixes;
        prefixes.withdrawn += update.withdrawn.len() as u64;
        let reaches = update.reach.iter().chain(update.second_reach.as_deref());
        prefixes.accepted += reaches.map(|reach| reach.prefixes.len() as u64).sum::<u64>();
        prefixes.ends_of_rib += u64::from(update.end_of_rib.is_some());
        let has = |handling| u64::from(update.flaws.iter().any(|flaw| flaw.handling == handling));
        prefixes.treated_as_withdraw += has(ErrorHandling::TreatAsWithdraw);
        prefixes.families_disabled += has(ErrorHandling::AfiSafiDisable);
        prefixes.attributes_discarded +=
            update.flaws.iter().filter(|flaw| flaw.handling == ErrorHandling::AttributeDiscard).count()
                as u64;
    }
}

fn decode(connection: &PeerConnection, bytes: &[u8]) -> Result<Message, MessageError> {
    let families = connection.families();
    codec::decode(bytes, &connection.decoding(&families, connection.max_received()))
}

/// Returns the event of a valid message.
const fn event(message: &Message) -> BgpEvent {
    match message {
        Message::Open(_) => BgpEvent::BgpOpen,
        Message::Update(_) => BgpEvent::UpdateMsg,
        Message::Notification(notification) if notification.code == 2 && notification.subcode == 1 => {
            BgpEvent::NotifMsgVerErr
        }
        Message::Notification(_) => BgpEvent::NotifMsg,
        Message::Keepalive => BgpEvent::KeepAliveMsg,
        Message::RouteRefresh(_) => BgpEvent::RouteRefreshMsg,
    }
}

const fn name(message: &Message) -> &'static str {
    match message {
        Message::Open(_) => "OPEN",
        Message::Update(_) => "UPDATE",
        Message::Notification(_) => "NOTIFICATION",
        Message::Keepalive => "KEEPALIVE",
        Message::RouteRefresh(_) => "ROUTE-REFRESH",
    }
}

/// Returns the event of a malformed message.
fn error_event(bytes: &[u8]) -> BgpEvent {
    match bytes.get(KIND) {
        Some(1) => BgpEvent::BgpOpenMsgErr,
        Some(2) => BgpEvent::UpdateMsgErr,
        _ => BgpEvent::BgpHeaderErr,
    }
}
