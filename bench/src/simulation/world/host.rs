//! A host: the objects that it knows, and the changes that are still on the way to it.

use std::collections::VecDeque;

use lb_common::ring::NodeIndex;

use super::{Member, Members};
use crate::simulation::Tick;

/// An object as it was written; `None` for one that was removed.
struct Letter {
    arrival: Tick,
    node: NodeIndex,
    member: Option<Member>,
}

/// A host.
pub(super) struct Host {
    known: Members,
    mail: VecDeque<Letter>,
    /// Whether its BGP session stands.
    pub(super) session: bool,
}

impl Host {
    /// A host that has just listed the objects.
    pub(super) fn new(known: Members) -> Self {
        Self { known, mail: VecDeque::new(), session: true }
    }

    /// Sends it word of an object. A watch keeps its order, so nothing overtakes what was sent before.
    pub(super) fn post(&mut self, arrival: Tick, node: NodeIndex, member: Option<Member>) {
        let arrival = self.mail.back().map_or(arrival, |last| last.arrival.max(arrival));
        self.mail.push_back(Letter { arrival, node, member });
    }

    /// Takes in what has arrived by now.
    pub(super) fn read_mail(&mut self, now: Tick) {
        while let Some(letter) = self.mail.pop_front_if(|letter| letter.arrival <= now) {
            match letter.member {
                Some(member) => self.known.insert(letter.node, member),
                None => self.known.remove(&letter.node),
            };
        }
    }

    /// The objects, as far as it has heard.
    pub(super) fn known(&self) -> &Members {
        &self.known
    }

    /// Whether it knows that it drains; `own` is its own index.
    pub(super) fn is_draining(&self, own: NodeIndex) -> bool {
        self.known.get(&own).is_some_and(|member| member.draining)
    }

    /// Whether the router learns its routes.
    pub(super) fn announces(&self, own: NodeIndex) -> bool {
        self.session && self.known.get(&own).is_some_and(|member| !member.draining)
    }
}
