//! Which of two connections with one neighbour stays (RFC 4271 section 6.8).
//!
//! A side that is Established on one connection refuses another before it has sent an OPEN on it. So where
//! OPENs meet on both connections, both were there on both sides before either was Established, and both
//! sides prefer the same one, whatever they have heard until then: that of the higher identifier. The RFC
//! leaves Established out of the comparison, and so can lose both connections: one side has seen the
//! KEEPALIVE of the one, the other the OPEN of the other.

use std::time::Duration;

use super::{Action, Peer, Way};
use crate::message::Open;
use crate::session::ending::Cause;
use crate::session::link::Link;
use crate::session::table::{Event, State};

impl Peer {
    /// Whether a connection that has come is wanted; one that it takes the place of is ended.
    pub(super) fn make_room(&mut self, way: Way, now: Duration) -> bool {
        match (way, self.machine(way).state) {
            (Way::Opened, State::Connect | State::Active) => self.is_room_beside(way, now),
            (Way::Opened, State::Idle | State::OpenSent | State::OpenConfirm | State::Established) => false,
            (Way::Accepted, State::Idle | State::Connect) => false,
            (Way::Accepted, State::Active) => self.is_room_beside(way, now),
            // It would not open another if it still had the former.
            (Way::Accepted, State::OpenSent | State::OpenConfirm) => {
                self.end(way, Event::TcpConnectionFails, Cause::Replaced, now);
                true
            }
            (Way::Accepted, State::Established) => {
                let begins_anew = self.may_begin_anew(way, now);
                if begins_anew {
                    self.end(way, Event::TcpConnectionFails, Cause::Replaced, now);
                }
                begins_anew
            }
        }
    }

    fn is_room_beside(&self, way: Way, now: Duration) -> bool {
        self.machine(way.other()).state != State::Established
            || way == Way::Accepted && self.may_begin_anew(way.other(), now)
    }

    /// Whether another connection may mean that the neighbour has lost this one, which is up. By RFC 4724
    /// section 4.2 it does where graceful restart was agreed; but not while it may have been on its way
    /// already when this one came up.
    fn may_begin_anew(&self, way: Way, now: Duration) -> bool {
        let Some(link) = &self.machine(way).link else { return true };
        let is_graceful = link.negotiated.as_ref().is_some_and(|agreed| agreed.graceful_restart.is_some());
        let lasted = link.established_at.map(|at| now.saturating_sub(at));
        is_graceful && lasted.is_some_and(|lasted| lasted > self.config.connect_timeout)
    }

    /// A sound OPEN has come on a connection: whether this one stays. The other, or this one, is ended.
    pub(super) fn outlives_collision(&mut self, way: Way, theirs: &Open, now: Duration) -> bool {
        let other = way.other();
        match self.machine(other).state {
            State::Idle | State::Connect | State::Active | State::OpenSent => true,
            State::Established if self.begins_anew(way) => {
                self.end(other, Event::TcpConnectionFails, Cause::Replaced, now);
                self.actions.push_back(Action::Close(other));
                true
            }
            State::OpenConfirm | State::Established => {
                let (preferred, dumped) = if self.prefers_own(way, theirs) {
                    (Way::Opened, Way::Accepted)
                } else {
                    (Way::Accepted, Way::Opened)
                };
                self.end(dumped, Event::OpenCollisionDump, Cause::Collision, now);
                preferred == way
            }
        }
    }

    fn begins_anew(&self, way: Way) -> bool {
        self.machine(way).link.as_ref().is_some_and(|link: &Link| link.begins_anew)
    }

    /// Of two with the same identifier the higher AS number counts (RFC 6286 section 2.3).
    fn prefers_own(&self, way: Way, theirs: &Open) -> bool {
        let ours = self.machine(way).link.as_ref().map(|link| (link.ours.router_id, link.ours.asn));
        ours > Some((theirs.router_id, theirs.asn))
    }
}
