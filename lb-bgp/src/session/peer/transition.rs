//! Steps through the table, and what follows from each.

use std::time::Duration;

use super::{Action, Peer, Way};
use crate::message::{Message, Open};
use crate::session::ending::{Cause, Ending};
use crate::session::link::Link;
use crate::session::negotiation::{self, Circumstances, Negotiated};
use crate::session::refusal::{self, Refused};
use crate::session::table::{Event, State, next};
use crate::value::HoldTime;

/// What was before an end.
#[derive(Clone, Copy, Debug)]
struct Past {
    /// How long the session was up, if it was.
    lasted: Option<Duration>,
    /// The next OPEN offers less.
    is_less: bool,
}

impl Peer {
    /// Takes a machine through the table and does what the difference between before and after asks for.
    pub(super) fn step(&mut self, way: Way, event: Event, now: Duration) {
        let before = self.machine(way).state;
        let after = next(before, event);
        self.machine_mut(way).state = after;
        if after != before {
            self.machine_mut(way).timer = None;
        }
        if after == State::Connect && (before != after || event == Event::ConnectRetryTimerExpires) {
            self.machine_mut(way).timer = Some(now.saturating_add(self.config.connect_timeout));
            self.counters.connects += 1;
            self.actions.push_back(Action::Connect);
        }
        if before != after && after == State::Established {
            self.come_up(way, now);
        }
        self.show(now);
    }

    /// Ends a connection or the attempt at one, and plans the next.
    pub(super) fn end(&mut self, way: Way, event: Event, cause: Cause, now: Duration) {
        let before = self.machine(way).state;
        let is_alone = self.machine(way.other()).link.is_none();
        let link = self.machine_mut(way).link.take();
        let lasted = link.as_ref().and_then(|link| Some(now.saturating_sub(link.established_at?)));
        if let Some(link) = &link
            && let Some(said) = cause.notification(link.negotiated.as_ref())
        {
            self.last_words[way as usize] =
                self.encode_one(&Message::Notification(said), link.longest_sent());
        }
        self.step(way, event, now);
        if is_to_close(before, &cause) {
            self.actions.push_back(Action::Close(way));
        }
        let ending = Ending { cause, state: before, at: now };
        // Where another connection goes on, people need not know that this one does not.
        if lasted.is_some() || is_alone && !ending.cause.makes_room() {
            self.reasons.note(ending.clone());
        }
        let is_less = link.is_some_and(|link| self.note_refusal(&link, &ending.cause, now));
        self.plan_next(way, &ending.cause, Past { lasted, is_less }, now);
        if lasted.is_some() {
            self.go_down(ending);
        }
        self.stop_waiting_for(way, now);
    }

    fn come_up(&mut self, way: Way, now: Duration) {
        if let Some(link) = &mut self.machine_mut(way).link {
            link.established_at = Some(now);
            let families = link.families();
            self.adj_out.begin(families);
        }
        let by = now.saturating_add(self.config.connect_timeout);
        if let Some(rival) = &mut self.machine_mut(way.other()).link {
            rival.hurry(by);
        }
        self.reasons.settle();
        self.counters.established += 1;
        self.was_established = true;
        self.actions.push_back(Action::Established(way));
        if self.opened.state == State::Connect {
            self.step(Way::Opened, Event::OpenCollisionDump, now);
            self.actions.push_back(Action::Close(Way::Opened));
        }
    }

    fn go_down(&mut self, ending: Ending) {
        self.adj_out.end();
        self.counters.flaps += u64::from(!ending.cause.is_our_wish());
        self.actions.push_back(Action::Down(ending));
    }

    /// A connection has ended: whether the next OPEN offers less because of it (RFC 5492 section 3). Where less was
    /// refused, too, the whole is offered again.
    fn note_refusal(&mut self, link: &Link, cause: &Cause, now: Duration) -> bool {
        let Cause::Received(said) = cause else { return false };
        if !refusal::is_one(said) || link.established_at.is_some() {
            return false;
        }
        let before = self.refused.take().map(|(refused, _)| refused);
        let refused = Refused::after(before.as_ref(), said, &link.ours.capabilities).filter(|refused| {
            let circumstances = Circumstances { refused: Some(refused), ..self.circumstances(link.local) };
            let next = negotiation::offer(&self.config, circumstances);
            negotiation::is_of_use(&self.config, link.local.ip(), &next)
        });
        self.actions.extend(refused.clone().filter(|_| refused != before).map(Action::Refused));
        self.refused = refused.map(|refused| (refused, now));
        self.refused.is_some()
    }

    /// When a connection has ended: when the neighbour is listened to again, and when it is tried.
    fn plan_next(&mut self, way: Way, cause: &Cause, past: Past, now: Duration) {
        if !self.running {
            return;
        }
        let Past { lasted, is_less } = past;
        let is_alone = self.machine(way.other()).link.is_none();
        let has_failed = is_alone && !cause.makes_room();
        let back_off = self.config.back_off;
        self.retry.note_session(back_off, lasted.unwrap_or_default());
        self.damping.note_session(back_off, lasted.unwrap_or_default());
        let at = if is_less {
            // The next attempt is another one, not the same again.
            now.saturating_add(self.random.jittered(back_off.first))
        } else if has_failed || cause.holds_down() {
            now.saturating_add(self.retry.wait(back_off, &mut self.random))
        } else {
            now
        };
        if way == Way::Accepted && cause.holds_down() {
            self.accepted.timer = Some(at);
        } else if way == Way::Accepted
            && is_alone
            && !is_less
            && matches!(cause, Cause::Received(_))
            && let Some(wait) = self.damping.wait(back_off, &mut self.random)
        {
            self.accepted.timer = Some(now.saturating_add(wait));
        } else if self.accepted.state == State::Idle && self.accepted.timer.is_none() {
            self.step(Way::Accepted, Event::AutomaticStartPassive, now);
        }
        let waits = matches!(self.opened.state, State::Idle | State::Active) && !self.config.passive;
        let is_unplanned = self.opened.timer.is_none_or(|timer| timer <= now);
        if has_failed && waits && (way == Way::Opened || is_unplanned || lasted.is_some()) {
            self.opened.timer = Some(at);
        }
    }

    /// Whether the timer of a machine that is not connected means anything: beside an accepted connection on
    /// which the router has said OPEN none is opened.
    pub(super) const fn may_start(&self, way: Way) -> bool {
        match way {
            Way::Opened => !matches!(self.accepted.state, State::OpenConfirm | State::Established),
            Way::Accepted => true,
        }
    }

    /// The timers of a machine that is not connected.
    pub(super) fn check_machine(&mut self, way: Way, now: Duration) {
        if !self.machine(way).is_due(now) || !self.may_start(way) {
            return;
        }
        self.machine_mut(way).timer = None;
        let event = match (way, self.machine(way).state) {
            (Way::Opened, State::Idle) => Event::AutomaticStart,
            (Way::Opened, State::Active) => Event::ConnectRetryTimerExpires,
            (Way::Opened, State::Connect) => {
                self.note_time_out(now);
                Event::ConnectRetryTimerExpires
            }
            (Way::Accepted, State::Idle) => Event::AutomaticStartPassive,
            (Way::Accepted, State::Connect | State::Active) => return,
            (_, State::OpenSent | State::OpenConfirm | State::Established) => return,
        };
        self.step(way, event, now);
    }

    fn note_time_out(&mut self, now: Duration) {
        self.counters.connects_failed += 1;
        let cause = Cause::ConnectTimedOut(self.config.connect_timeout);
        self.reasons.note(Ending { cause, state: State::Connect, at: now });
    }

    /// The timers of a connection.
    pub(super) fn check_link(&mut self, way: Way, now: Duration) {
        let Some(link) = &self.machine(way).link else { return };
        let is_over = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if is_over(link.hold_at) {
            let cause = Cause::HoldTimerExpired(link.hold_time().unwrap_or_default());
            self.end(way, Event::HoldTimerExpires, cause, now);
        } else if is_over(link.send_hold_at()) {
            let cause = Cause::SendHoldTimerExpired(link.send_hold_time());
            self.end(way, Event::SendHoldTimerExpires, cause, now);
        } else if is_over(link.keepalive_at) {
            self.owe_keepalive(way, now);
            self.step(way, Event::KeepaliveTimerExpires, now);
        }
    }

    /// A KEEPALIVE now, and when the next is due.
    pub(super) fn owe_keepalive(&mut self, way: Way, now: Duration) {
        let Some(link) = &self.machine(way).link else { return };
        let interval = link.negotiated.as_ref().and_then(|negotiated| negotiated.keepalive);
        let next = interval.map(|interval| now.saturating_add(self.random.jittered(interval)));
        if let Some(link) = &mut self.machine_mut(way).link {
            link.owes_keepalive = true;
            link.keepalive_at = next;
        }
    }

    /// After a change of the configuration: what of a connection goes on.
    pub(super) fn reconsider(&mut self, way: Way, now: Duration) {
        let Some(link) = &self.machine(way).link else { return };
        let local = link.local;
        let ours = negotiation::offer(&self.config, self.circumstances(local));
        let agreed =
            link.theirs.as_ref().map(|theirs| negotiation::judge(&self.config, local.ip(), &ours, theirs));
        // Of hold times only the smaller one matters, once both are known.
        let hold_time = link.theirs.is_none().then_some(self.config.hold_time);
        let was = link.theirs.is_none().then_some(link.ours.hold_time);
        let stays = lasting(&ours) == lasting(&link.ours)
            && hold_time == was
            && match (&agreed, &link.negotiated) {
                (Some(Ok(agreed)), Some(negotiated)) => is_alike(agreed, negotiated),
                (None, _) => true,
                (Some(_), _) => false,
            };
        if !stays {
            self.end(way, Event::AutomaticStop, Cause::ConfigurationChanged, now);
        } else if let Some(Ok(agreed)) = agreed {
            self.adopt(way, agreed);
        }
    }

    /// What was agreed, with next hops or times that are ours alone to choose.
    fn adopt(&mut self, way: Way, agreed: Negotiated) {
        let is_up = self.machine(way).state == State::Established;
        let Some(link) = &mut self.machine_mut(way).link else { return };
        let former = link.negotiated.replace(agreed.clone());
        for (family, next_hop) in agreed.next_hops {
            let was = former.as_ref().and_then(|former| former.next_hops.get(&family));
            if is_up && was != Some(&next_hop) {
                self.adj_out.refresh(family);
            }
        }
    }

    /// After a change of the configuration: what was being waited for is tried at once.
    pub(super) fn reschedule(&mut self, now: Duration) {
        if !self.running {
            return;
        }
        if self.accepted.state == State::Idle {
            self.step(Way::Accepted, Event::AutomaticStartPassive, now);
        }
        let waits = matches!(self.opened.state, State::Idle | State::Active);
        if self.config.passive && self.opened.link.is_none() {
            if self.opened.state == State::Connect {
                self.actions.push_back(Action::Close(Way::Opened));
            }
            self.step(Way::Opened, Event::AutomaticStop, now);
            self.opened.timer = None;
        } else if waits && !self.config.passive && self.accepted.link.is_none() {
            self.opened.timer = Some(now);
        }
    }

    /// What people see: the connection that is furthest, else an attempt, else that somebody is waited for.
    fn show(&mut self, now: Duration) {
        let states = Way::BOTH.map(|way| self.machine(way).state);
        let rank = |state: &State| match state {
            State::Idle => 0,
            State::Active => 1,
            State::Connect => 2,
            State::OpenSent => 3,
            State::OpenConfirm => 4,
            State::Established => 5,
        };
        let shown = states.into_iter().max_by_key(rank).unwrap_or(State::Idle);
        if shown != self.shown {
            self.shown = shown;
            self.since = now;
        }
    }
}

/// Whether the driver still has to close something.
const fn is_to_close(before: State, cause: &Cause) -> bool {
    match cause {
        Cause::Closed(_) | Cause::ConnectFailed(_) | Cause::Replaced => false,
        _ => matches!(before, State::Connect) || before.is_connected(),
    }
}

/// An OPEN but for what is true of one moment only, said to people, or compared otherwise.
fn lasting(open: &Open) -> Open {
    let mut lasting = open.clone();
    lasting.hold_time = HoldTime::DEFAULT;
    lasting.capabilities.host_name = None;
    if let Some(graceful_restart) = &mut lasting.capabilities.graceful_restart {
        graceful_restart.restarted = false;
        graceful_restart.families.iter_mut().for_each(|(_, forwarding)| *forwarding = false);
    }
    lasting
}

/// Whether two agreements differ at most in what is ours alone to choose.
fn is_alike(one: &Negotiated, other: &Negotiated) -> bool {
    let families = |negotiated: &Negotiated| negotiated.next_hops.keys().copied().collect::<Vec<_>>();
    let rest = |negotiated: &Negotiated| Negotiated {
        next_hops: Default::default(),
        missing: Default::default(),
        keepalive: None,
        ..negotiated.clone()
    };
    families(one) == families(other) && rest(one) == rest(other)
}
