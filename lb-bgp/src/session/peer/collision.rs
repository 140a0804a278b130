//! Which of two connections with one neighbour stays (RFC 4271 section 6.8).
//!
//! By the RFC both sides compare identifiers when an OPEN comes on a connection beside one in OpenConfirm, and
//! keep the older one when it is Established. Where one side has heard the KEEPALIVE on the one, and the other
//! the OPEN on the other, each ends what the other keeps. So that this cannot happen, with a neighbour that
//! does just what the RFC says:
//!
//! - Beside a connection on which our KEEPALIVE may be under way no other gets an OPEN of ours, without which
//!   the neighbour does not compare.
//! - Where both have our OPEN, the KEEPALIVE is kept back on the one that loses for as long as the other may
//!   still come to something: until then the neighbour cannot be Established on it, and will compare.

use std::time::Duration;

use super::{ConnectionDirection, Peer, PeerAction};
use crate::message::Open;
use crate::session::close_reason::CloseReason;
use crate::session::state_table::{BgpEvent, BgpState};

impl Peer {
    /// Whether a connection that has come is wanted; one that it takes the place of is ended.
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
            // It would not open another if it still had the former.
            (ConnectionDirection::Incoming, BgpState::OpenSent | BgpState::OpenConfirm) => {
                self.end(direction, BgpEvent::TcpConnectionFails, CloseReason::Replaced, now);
                true
            }
            (ConnectionDirection::Incoming, BgpState::Established) => {
                let is_restart = self.may_be_restart(direction, now);
                if is_restart {
                    self.end(direction, BgpEvent::TcpConnectionFails, CloseReason::Replaced, now);
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

    /// Whether another connection may mean that the neighbour has lost this one, which is up. By RFC 4724
    /// section 4.2 it does where graceful restart was agreed; but not while it may have been on its way
    /// already when this one came up.
    fn may_be_restart(&self, direction: ConnectionDirection, now: Duration) -> bool {
        let Some(connection) = &self.fsm(direction).connection else { return true };
        let is_graceful =
            connection.negotiated.as_ref().is_some_and(|agreed| agreed.graceful_restart.is_some());
        let lasted = connection.established_at.map(|at| now.saturating_sub(at));
        is_graceful && lasted.is_some_and(|lasted| lasted > self.config.connect_timeout)
    }

    /// A sound OPEN has come on a connection: whether it may go on now. The other, or this one, is ended, or
    /// this one has to wait.
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
                    self.end(other, BgpEvent::OpenCollisionDump, CloseReason::Collision, now);
                }
                true
            }
            BgpState::OpenSent => {
                self.defer_open(other, theirs, now);
                false
            }
            BgpState::Established if is_restart => {
                self.end(other, BgpEvent::TcpConnectionFails, CloseReason::Replaced, now);
                self.actions.push_back(PeerAction::Close(other));
                true
            }
            BgpState::OpenConfirm | BgpState::Established => {
                self.end(direction, BgpEvent::OpenCollisionDump, CloseReason::Collision, now);
                false
            }
        }
    }

    /// Lays an OPEN by until something comes of the connection `preferred`, which is to be soon.
    fn defer_open(&mut self, preferred: ConnectionDirection, theirs: &Open, now: Duration) {
        let by = now.saturating_add(self.config.connect_timeout);
        if let Some(connection) = &mut self.fsm_mut(preferred).connection {
            connection.shorten_hold_timer(by);
        }
        if let Some(connection) = &mut self.fsm_mut(preferred.other()).connection {
            connection.deferred_open = Some(theirs.clone());
        }
    }

    /// The connection `gone` has ended: what was laid by on the other is read.
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

    /// The connection that stays: the one opened by the side with the higher identifier, and of two with the
    /// same one by that with the higher AS number (RFC 6286 section 2.3).
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
