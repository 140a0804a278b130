//! Connection collision resolution (RFC 4271, section 6.8).
//!
//! By the RFC, both sides compare identifiers when an OPEN arrives on a connection while another is in
//! OpenConfirm, and keep the older one when it is Established. If one side has received the KEEPALIVE on one
//! connection, and the other side the OPEN on the other, each closes what the other keeps. Two rules prevent
//! this, even with a peer that follows the RFC to the letter:
//!
//! - While our KEEPALIVE may be in flight on one connection, no OPEN is sent on the other; without it the
//!   peer does not compare.
//! - While both connections have our OPEN, the KEEPALIVE is withheld on the losing one as long as the other
//!   may still be established: until then the peer cannot be Established on it, and will compare.

use std::time::Duration;

use super::{ConnectionDirection, Peer, PeerAction};
use crate::message::Open;
use crate::session::close_reason::CloseReason;
use crate::session::state_table::{BgpEvent, BgpState};

impl Peer {
    /// Returns whether to admit a new connection; closes the one that it supersedes.
    pub(super) fn admit_connection(&mut self, direction: ConnectionDirection, now: Duration) -> bool {
        match (direction, self.fsm(direction).state) {
            (ConnectionDirection::Outgoing, BgpState::Connect | BgpState::Active) => {
                let is_room = self.is_admitted_beside(direction, now);
                if !is_room {
                    self.step(direction, BgpEvent::OpenCollisionDump, now);
                }
                is_room
            }
            (
                ConnectionDirection::Outgoing,
                BgpState::Idle | BgpState::OpenSent | BgpState::OpenConfirm | BgpState::Established,
            ) => false,
            (ConnectionDirection::Incoming, BgpState::Idle | BgpState::Connect) => false,
            (ConnectionDirection::Incoming, BgpState::Active) => self.is_admitted_beside(direction, now),
            // The peer would not open another if it still had the former one.
            (ConnectionDirection::Incoming, BgpState::OpenSent | BgpState::OpenConfirm) => {
                self.close(direction, BgpEvent::TcpConnectionFails, CloseReason::Replaced, now);
                true
            }
            (ConnectionDirection::Incoming, BgpState::Established) => {
                let is_restart = self.may_be_restart(direction, now);
                if is_restart {
                    self.close(direction, BgpEvent::TcpConnectionFails, CloseReason::Replaced, now);
                }
                is_restart
            }
        }
    }

    fn is_admitted_beside(&self, direction: ConnectionDirection, now: Duration) -> bool {
        match self.fsm(direction.other()).state {
            BgpState::Idle | BgpState::Connect | BgpState::Active | BgpState::OpenSent => true,
            BgpState::OpenConfirm => false,
            BgpState::Established => {
                direction == ConnectionDirection::Incoming && self.may_be_restart(direction.other(), now)
            }
        }
    }

    /// Returns whether another connection may mean that the peer has lost the established one. It does if
    /// graceful restart was negotiated (RFC 4724, section 4.2), unless it may have been in flight when this
    /// one came up.
    fn may_be_restart(&self, direction: ConnectionDirection, now: Duration) -> bool {
        let Some(connection) = &self.fsm(direction).connection else { return true };
        let is_graceful =
            connection.negotiated.as_ref().is_some_and(|agreed| agreed.graceful_restart.is_some());
        is_graceful && connection.lasted(now).is_some_and(|lasted| lasted > self.config.connect_timeout)
    }

    /// Resolves the collision after a valid OPEN: returns whether the connection proceeds now. Otherwise it
    /// is closed or waits for the other one.
    pub(super) fn survives_collision(
        &mut self,
        direction: ConnectionDirection,
        theirs: &Open,
        now: Duration,
    ) -> bool {
        let other = direction.other();
        let is_restart =
            self.fsm(direction).connection.as_ref().is_some_and(|connection| connection.is_restart);
        match self.fsm(other).state {
            BgpState::Idle | BgpState::Connect | BgpState::Active => true,
            BgpState::OpenSent if self.preferred(direction, theirs) == direction => {
                if self
                    .fsm(other)
                    .connection
                    .as_ref()
                    .is_some_and(|connection| connection.deferred_open.is_some())
                {
                    self.close(other, BgpEvent::OpenCollisionDump, CloseReason::Collision, now);
                }
                true
            }
            BgpState::OpenSent => {
                self.defer_open(other, theirs, now);
                false
            }
            BgpState::Established if is_restart => {
                self.close(other, BgpEvent::TcpConnectionFails, CloseReason::Replaced, now);
                self.actions.push_back(PeerAction::Close(other));
                true
            }
            BgpState::OpenConfirm | BgpState::Established => {
                self.close(direction, BgpEvent::OpenCollisionDump, CloseReason::Collision, now);
                false
            }
        }
    }

    /// Defers an OPEN until the connection `preferred` is established or closed, which must happen soon.
    fn defer_open(&mut self, preferred: ConnectionDirection, theirs: &Open, now: Duration) {
        let by = now.saturating_add(self.config.connect_timeout);
        if let Some(connection) = &mut self.fsm_mut(preferred).connection {
            connection.shorten_hold_timer(by);
        }
        if let Some(connection) = &mut self.fsm_mut(preferred.other()).connection {
            connection.deferred_open = Some(theirs.clone());
        }
    }

    /// Processes the OPEN that was deferred in favor of the closed connection `gone`.
    pub(super) fn resume_deferred_open(&mut self, gone: ConnectionDirection, now: Duration) {
        let direction = gone.other();
        let deferred_open = self
            .fsm_mut(direction)
            .connection
            .as_mut()
            .and_then(|connection| connection.deferred_open.take());
        if let Some(theirs) = deferred_open {
            self.handle_open(direction, theirs, now);
            self.receive(direction, &[], now);
        }
    }

    /// Returns the connection to keep: opened by the side with the higher identifier, and if equal, with the
    /// higher AS number (RFC 6286, section 2.3).
    fn preferred(&self, direction: ConnectionDirection, theirs: &Open) -> ConnectionDirection {
        let ours = self
            .fsm(direction)
            .connection
            .as_ref()
            .map(|connection| (connection.ours.router_id, connection.ours.asn));
        if ours > Some((theirs.router_id, theirs.asn)) {
            ConnectionDirection::Outgoing
        } else {
            ConnectionDirection::Incoming
        }
    }
}
