//! What the neighbour says.

use std::mem;
use std::time::Duration;

use super::{Peer, Way};
use crate::codec::{self, Decoding, MessageError};
use crate::message::{LONGEST, Message, Open, Remedy, Update};
use crate::session::ending::Cause;
use crate::session::link::Link;
use crate::session::negotiation;
use crate::session::table::{Event, State, next};

/// Where a message's type is.
const KIND: usize = 18;

impl Peer {
    pub(super) fn receive(&mut self, way: Way, bytes: &[u8], now: Duration) {
        let Some(link) = &mut self.machine_mut(way).link else { return };
        let mut inbox = mem::take(&mut link.inbox);
        inbox.extend_from_slice(bytes);
        let mut rest = inbox.as_slice();
        while let Some(link) = self.machine(way).link.as_ref().filter(|link| link.waiting.is_none()) {
            match codec::frame(rest, link.longest_received()) {
                Ok(Some(length)) => {
                    let (message, following) = rest.split_at(length.min(rest.len()));
                    rest = following;
                    self.handle_message(way, message, now);
                }
                Ok(None) => break,
                Err(error) => self.refuse(way, Event::BgpHeaderErr, error, now),
            }
        }
        let Some(link) = &mut self.machine_mut(way).link else { return };
        if link.waiting.is_some() && rest.len() > LONGEST {
            let (message, state) = ("more than a KEEPALIVE before ours", State::OpenSent);
            return self.end(way, Event::UpdateMsg, Cause::Unexpected { message, state }, now);
        }
        link.inbox = rest.to_vec();
    }

    fn handle_message(&mut self, way: Way, bytes: &[u8], now: Duration) {
        let Some(link) = &self.machine(way).link else { return };
        match decode(link, bytes) {
            Ok(message) => {
                self.counters.received.count(&message);
                self.handle_sound(way, message, now);
            }
            Err(error) => self.refuse(way, flaw_event(bytes), error, now),
        }
    }

    fn refuse(&mut self, way: Way, event: Event, error: MessageError, now: Duration) {
        self.counters.malformed += 1;
        self.end(way, event, Cause::Malformed(error), now);
    }

    fn handle_sound(&mut self, way: Way, message: Message, now: Duration) {
        let state = self.machine(way).state;
        let event = event(&message);
        if !next(state, event).is_connected() && !matches!(message, Message::Notification(_)) {
            self.end(way, event, Cause::Unexpected { message: name(&message), state }, now);
            return;
        }
        match message {
            Message::Open(theirs) => return self.handle_open(way, theirs, now),
            Message::Notification(said) => return self.end(way, event, Cause::Received(said), now),
            Message::Update(update) => self.count_update(&update),
            Message::RouteRefresh(Some(family)) => self.adj_out.refresh(family),
            Message::Keepalive | Message::RouteRefresh(None) => {}
        }
        if let Some(link) = &mut self.machine_mut(way).link {
            link.restart_hold_timer(now);
        }
        self.step(way, event, now);
    }

    pub(super) fn handle_open(&mut self, way: Way, theirs: Open, now: Duration) {
        let Some(link) = &self.machine(way).link else { return };
        let negotiated = match negotiation::judge(&self.config, link.local.ip(), &link.ours, &theirs) {
            Ok(negotiated) => negotiated,
            Err(cause) => return self.end(way, Event::BgpOpenMsgErr, cause, now),
        };
        if !self.outlives_collision(way, &theirs, now) {
            return;
        }
        if let Some(link) = &mut self.machine_mut(way).link {
            link.theirs = Some(theirs);
            link.negotiated = Some(negotiated);
            link.restart_hold_timer(now);
        }
        self.owe_keepalive(way, now);
        self.step(way, Event::BgpOpen, now);
    }

    /// Nothing of it is installed.
    fn count_update(&mut self, update: &Update) {
        let prefixes = &mut self.counters.prefixes;
        prefixes.withdrawn += update.withdrawn.len() as u64;
        let reaches = update.reach.iter().chain(update.second_reach.as_deref());
        prefixes.accepted += reaches.map(|reach| reach.prefixes.len() as u64).sum::<u64>();
        prefixes.ends_of_rib += u64::from(update.end_of_rib.is_some());
        let has = |remedy| u64::from(update.flaws.iter().any(|flaw| flaw.remedy == remedy));
        prefixes.treated_as_withdraw += has(Remedy::Withdraw);
        prefixes.families_disabled += has(Remedy::DisableFamily);
        prefixes.attributes_discarded +=
            update.flaws.iter().filter(|flaw| flaw.remedy == Remedy::Discard).count() as u64;
    }
}

fn decode(link: &Link, bytes: &[u8]) -> Result<Message, MessageError> {
    let negotiated = link.negotiated.as_ref();
    let families = link.families();
    let context = Decoding {
        internal: negotiated.is_some_and(|agreed| agreed.internal),
        four_octet_asn: negotiated.is_some_and(|agreed| agreed.four_octet_asn),
        extended_next_hop: negotiated.is_some_and(|agreed| agreed.extended_next_hop),
        families: &families,
        longest: link.longest_received(),
    };
    codec::decode(bytes, &context)
}

/// The event that a message is.
const fn event(message: &Message) -> Event {
    match message {
        Message::Open(_) => Event::BgpOpen,
        Message::Update(_) => Event::UpdateMsg,
        Message::Notification(said) if said.code == 2 && said.subcode == 1 => Event::NotifMsgVerErr,
        Message::Notification(_) => Event::NotifMsg,
        Message::Keepalive => Event::KeepAliveMsg,
        Message::RouteRefresh(_) => Event::RouteRefreshMsg,
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

/// The event that a message is which cannot be read.
fn flaw_event(bytes: &[u8]) -> Event {
    match bytes.get(KIND) {
        Some(1) => Event::BgpOpenMsgErr,
        Some(2) => Event::UpdateMsgErr,
        _ => Event::BgpHeaderErr,
    }
}
