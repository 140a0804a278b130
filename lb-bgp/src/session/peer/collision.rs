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

use super::{Action, Peer, Way};
use crate::message::Open;
use crate::session::ending::Cause;
use crate::session::table::{Event, State};

impl Peer {
    /// Whether a connection that has come is wanted; one that it takes the place of is ended.
    pub(super) fn make_room(&mut self, way: Way, now: Duration) -> bool {
        match (way, self.machine(way).state) {
            (Way::Opened, State::Connect | State::Active) => {
                let is_room = self.is_room_beside(way, now);
                if !is_room {
                    self.step(way, Event::OpenCollisionDump, now);
                }
                is_room
            }
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
        match self.machine(way.other()).state {
            State::Idle | State::Connect | State::Active | State::OpenSent => true,
            State::OpenConfirm => false,
            State::Established => way == Way::Accepted && self.may_begin_anew(way.other(), now),
        }
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

    /// A sound OPEN has come on a connection: whether it may go on now. The other, or this one, is ended, or
    /// this one has to wait.
    pub(super) fn outlives_collision(&mut self, way: Way, theirs: &Open, now: Duration) -> bool {
        let other = way.other();
        let begins_anew = self.machine(way).link.as_ref().is_some_and(|link| link.begins_anew);
        match self.machine(other).state {
            State::Idle | State::Connect | State::Active => true,
            State::OpenSent if self.preferred(way, theirs) == way => {
                if self.machine(other).link.as_ref().is_some_and(|link| link.waiting.is_some()) {
                    self.end(other, Event::OpenCollisionDump, Cause::Collision, now);
                }
                true
            }
            State::OpenSent => {
                self.wait_for(other, theirs, now);
                false
            }
            State::Established if begins_anew => {
                self.end(other, Event::TcpConnectionFails, Cause::Replaced, now);
                self.actions.push_back(Action::Close(other));
                true
            }
            State::OpenConfirm | State::Established => {
                self.end(way, Event::OpenCollisionDump, Cause::Collision, now);
                false
            }
        }
    }

    /// Lays an OPEN by until something comes of the connection `preferred`, which is to be soon.
    fn wait_for(&mut self, preferred: Way, theirs: &Open, now: Duration) {
        let by = now.saturating_add(self.config.connect_timeout);
        if let Some(link) = &mut self.machine_mut(preferred).link {
            link.hurry(by);
        }
        if let Some(link) = &mut self.machine_mut(preferred.other()).link {
            link.waiting = Some(theirs.clone());
        }
    }

    /// The connection `gone` has ended: what was laid by on the other is read.
    pub(super) fn stop_waiting_for(&mut self, gone: Way, now: Duration) {
        let way = gone.other();
        let waiting = self.machine_mut(way).link.as_mut().and_then(|link| link.waiting.take());
        if let Some(theirs) = waiting {
            self.handle_open(way, theirs, now);
            self.receive(way, &[], now);
        }
    }

    /// The connection that stays: the one opened by the side with the higher identifier, and of two with the
    /// same one by that with the higher AS number (RFC 6286 section 2.3).
    fn preferred(&self, way: Way, theirs: &Open) -> Way {
        let ours = self.machine(way).link.as_ref().map(|link| (link.ours.router_id, link.ours.asn));
        if ours > Some((theirs.router_id, theirs.asn)) { Way::Opened } else { Way::Accepted }
    }
}
