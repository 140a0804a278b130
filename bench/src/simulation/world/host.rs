//! A host: the objects it knows, and the changes that are in flight to it.

use std::collections::VecDeque;

use lb_common::ring::NodeIndex;

use super::{Member, Members};
use crate::simulation::Tick;

/// A change in flight: an object as written; `None` for a removal.
struct PendingChange {
    arrival: Tick,
    node: NodeIndex,
    member: Option<Member>,
}

/// A host.
pub(super) struct Host {
    known: Members,
    /// Whether it knows an object of each node, by index.
    knows: Vec<bool>,
    in_flight: VecDeque<PendingChange>,
    /// Whether its objects have changed since [`Host::take_changed`] was called.
    has_changed: bool,
    /// Whether its BGP session is established.
    pub(super) session: bool,
}

impl Host {
    /// Creates a host that has just listed the objects.
    pub(super) fn new(known: Members) -> Self {
        let mut knows = vec![false; known.last_key_value().map_or(0, |(last, _)| usize::from(*last) + 1)];
        known.keys().for_each(|node| knows[usize::from(*node)] = true);
        Self { known, knows, in_flight: VecDeque::new(), has_changed: true, session: true }
    }

    /// Sends it a change of an object. A watch keeps its order, so no change overtakes an earlier one.
    pub(super) fn send(&mut self, arrival: Tick, node: NodeIndex, member: Option<Member>) {
        let arrival = self.in_flight.back().map_or(arrival, |last| last.arrival.max(arrival));
        self.in_flight.push_back(PendingChange { arrival, node, member });
    }

    /// Applies the changes that have arrived by now.
    pub(super) fn apply_arrived(&mut self, now: Tick) {
        while let Some(change) = self.in_flight.pop_front_if(|change| change.arrival <= now) {
            let at = usize::from(change.node);
            self.knows.resize(self.knows.len().max(at + 1), false);
            self.knows[at] = change.member.is_some();
            self.has_changed = true;
            match change.member {
                Some(member) => self.known.insert(change.node, member),
                None => self.known.remove(&change.node),
            };
        }
    }

    /// Returns the objects, as far as they have arrived.
    pub(super) fn known(&self) -> &Members {
        &self.known
    }

    /// Returns whether it knows the object of a node.
    pub(super) fn knows(&self, node: NodeIndex) -> bool {
        self.knows.get(usize::from(node)).copied().unwrap_or_default()
    }

    /// Returns whether its objects have changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Returns whether it knows that it drains; `own` is its own index.
    pub(super) fn is_draining(&self, own: NodeIndex) -> bool {
        self.known.get(&own).is_some_and(|member| member.draining)
    }

    /// Returns whether the router learns its routes.
    pub(super) fn announces(&self, own: NodeIndex) -> bool {
        self.session && self.known.get(&own).is_some_and(|member| !member.draining)
    }
}
