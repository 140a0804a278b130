//! The engine of the keeper: who may write to each stream, and until when. Pure: events and the time go in,
//! actions come out.
//!
//! ```text
//!            hold                     agent away                      bound, dismissal, stop
//!   (none) ───────► held by the agent ──────────► held by the keeper ──────────► parting ──► (none)
//!                      ▲                                │  keepalives           farewell, end
//!                      └──────────── claim ─────────────┘
//! ```
//!
//! After a takeover, nothing is written for [`SETTLE`]: an agent that is alive but no longer connected may be
//! in the middle of a write.

mod event;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use self::event::{Action, ConnectionId, Event, Reason, Reply, StreamId, Terms};

/// Time between the fence in a journal and the first write of another process.
pub(crate) const SETTLE: Duration = Duration::from_millis(50);
/// Time in which a peer must take the farewell, and then close.
pub(crate) const PARTING: Duration = Duration::from_secs(2);
/// Time that a connected agent has to close its streams after the keeper was stopped.
pub(crate) const LEAVE: Duration = Duration::from_secs(3);
/// Time that a keeper without work waits for its first agent.
pub(crate) const FIRST_AGENT: Duration = Duration::from_secs(10);
/// Maximum number of streams, those that are parting included.
pub(crate) const MAX_STREAMS: usize = 1024;

/// The process that may write to a stream.
#[derive(Clone, Debug)]
enum Holder {
    Agent,
    /// `claimant` gets the stream as soon as it is settled.
    Keeper {
        next_keepalive: Option<Duration>,
        is_blocked: bool,
        claimant: Option<ConnectionId>,
    },
    /// The farewell is due, as soon as the stream is settled.
    Parting {
        reason: Reason,
    },
    /// The farewell is in the journal.
    Farewell {
        until: Duration,
    },
    /// The write side is shut down.
    Draining {
        until: Duration,
    },
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    terms: Terms,
    /// Nothing is written before this time.
    settled: Duration,
    holder: Holder,
}

impl Entry {
    /// Returns whether an agent can still get it.
    const fn is_alive(&self) -> bool {
        matches!(self.holder, Holder::Agent | Holder::Keeper { .. })
    }

    /// Returns when the engine has to act on it.
    fn deadline(&self) -> Option<Duration> {
        match self.holder {
            Holder::Agent => None,
            Holder::Keeper { claimant: Some(_), .. } | Holder::Parting { .. } => Some(self.settled),
            Holder::Keeper { is_blocked: true, .. } => None,
            Holder::Keeper { next_keepalive, .. } => next_keepalive.map(|at| at.max(self.settled)),
            Holder::Farewell { until } | Holder::Draining { until } => Some(until),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Agent {
    Connected(ConnectionId),
    Away { since: Duration },
}

/// The engine.
#[derive(Debug)]
pub(crate) struct Engine {
    bound: Duration,
    exits_when_idle: bool,
    had_agent: bool,
    agent: Agent,
    streams: BTreeMap<StreamId, Entry>,
    /// When a stopped keeper exits at the latest.
    exit_at: Option<Duration>,
}

impl Engine {
    /// Creates an engine that keeps streams without an agent for `bound`.
    pub(crate) const fn new(bound: Duration, exits_when_idle: bool, now: Duration) -> Self {
        Self {
            bound,
            exits_when_idle,
            had_agent: false,
            agent: Agent::Away { since: now },
            streams: BTreeMap::new(),
            exit_at: None,
        }
    }

    /// Returns whether the peer's end of the stream, or room in its socket, must be reported.
    pub(crate) fn is_watched(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|entry| !matches!(entry.holder, Holder::Agent))
    }

    /// Returns whether the stream waits for room in its socket.
    pub(crate) fn is_blocked(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|entry| {
            matches!(entry.holder, Holder::Keeper { is_blocked: true, .. } | Holder::Farewell { .. })
        })
    }

    /// Returns whether what the peer sends is discarded.
    pub(crate) fn is_draining(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|entry| matches!(entry.holder, Holder::Draining { .. }))
    }

    /// Handles an event.
    pub(crate) fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Hello(connection) => self.hello(connection, now, &mut actions),
            Event::Foreign(connection) => self.foreign(connection, now, &mut actions),
            Event::Hold { connection, id, name, terms } if self.is_current(connection) => {
                self.hold(connection, id, name, terms, &mut actions);
            }
            Event::Claim { connection, name } if self.is_current(connection) => {
                self.claim(connection, name, &mut actions);
            }
            Event::Release { connection, name } if self.is_current(connection) => {
                self.release(&name, &mut actions);
            }
            Event::Dismiss { connection, name } if self.is_current(connection) => {
                self.dismiss(name.as_deref(), now, &mut actions);
            }
            // From an agent that was replaced meanwhile.
            Event::Hold { id, .. } => actions.push(Action::Drop(id, Reason::Replaced)),
            Event::Claim { .. } | Event::Release { .. } | Event::Dismiss { .. } => {}
            Event::Disconnected(connection) => self.disconnected(connection, now, &mut actions),
            Event::Written { id, all } => self.written(id, all, now, &mut actions),
            Event::Writable(id) => {
                if self.is_blocked(id) {
                    actions.push(Action::Write(id));
                }
            }
            Event::Ended(id) => self.ended(id, &mut actions),
            Event::Broken(id, error) => self.remove(id, Reason::Broken(error), &mut actions),
            Event::Stop => self.stop(now, &mut actions),
        }
        actions
    }

    /// Returns what is due.
    pub(crate) fn poll(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Agent::Away { since } = self.agent
            && now >= since.saturating_add(self.bound)
        {
            self.part_unclaimed(&Reason::Bound, now, &mut actions);
        }
        let due: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, entry)| entry.deadline().is_some_and(|at| now >= at))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.act(id, now, &mut actions);
        }
        if self.is_finished(now) {
            actions.push(Action::Exit);
        }
        actions
    }

    /// Returns when [`poll`](Self::poll) has something to do, unless an event comes before.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let streams = self.streams.values().filter_map(Entry::deadline);
        let is_kept = self.streams.values().any(|entry| matches!(entry.holder, Holder::Keeper { .. }));
        let bound = match self.agent {
            Agent::Away { since } if is_kept => Some(since.saturating_add(self.bound)),
            _ => None,
        };
        streams.chain(bound).chain(self.exit_at).chain(self.idle_at()).min()
    }

    fn is_current(&self, connection: ConnectionId) -> bool {
        matches!(self.agent, Agent::Connected(current) if current == connection)
    }

    fn hello(&mut self, connection: ConnectionId, now: Duration, actions: &mut Vec<Action>) {
        if self.exit_at.is_some() {
            actions.push(Action::Disconnect(connection));
            return;
        }
        self.replace_agent(now, actions);
        self.agent = Agent::Connected(connection);
        self.had_agent = true;
        let alive = self.streams.values().filter(|entry| entry.is_alive());
        let names = alive.map(|entry| entry.name.clone()).collect();
        actions.push(Action::Reply(connection, Reply::Welcome(names)));
    }

    /// An agent that cannot take the streams over: they end in order, before it opens new ones.
    fn foreign(&mut self, connection: ConnectionId, now: Duration, actions: &mut Vec<Action>) {
        self.replace_agent(now, actions);
        self.part_unclaimed(&Reason::Version, now, actions);
        actions.push(Action::Reply(connection, Reply::Refused));
        actions.push(Action::Disconnect(connection));
    }

    fn replace_agent(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if let Agent::Connected(former) = self.agent {
            actions.push(Action::Reply(former, Reply::Replaced));
            actions.push(Action::Disconnect(former));
            self.agent_left(now, actions);
        }
    }

    fn hold(
        &mut self,
        connection: ConnectionId,
        id: StreamId,
        name: String,
        terms: Terms,
        actions: &mut Vec<Action>,
    ) {
        if let Some(former) = self.find(&name) {
            self.remove(former, Reason::Replaced, actions);
        }
        if self.streams.len() >= MAX_STREAMS {
            actions.push(Action::Drop(id, Reason::Broken(format!("{MAX_STREAMS} streams are held"))));
            actions.push(Action::Reply(connection, Reply::Rejected(name)));
            return;
        }
        let reply = Reply::Held(name.clone());
        self.streams.insert(id, Entry { name, terms, settled: Duration::ZERO, holder: Holder::Agent });
        actions.push(Action::Reply(connection, reply));
    }

    fn claim(&mut self, connection: ConnectionId, name: String, actions: &mut Vec<Action>) {
        let found = self.find(&name).and_then(|id| self.streams.get_mut(&id));
        match found.map(|entry| &mut entry.holder) {
            Some(Holder::Keeper { claimant, .. }) => *claimant = Some(connection),
            _ => actions.push(Action::Reply(connection, Reply::Unknown(name))),
        }
    }

    fn release(&mut self, name: &str, actions: &mut Vec<Action>) {
        if let Some(id) = self.find(name) {
            self.remove(id, Reason::Released, actions);
        }
    }

    fn dismiss(&mut self, name: Option<&str>, now: Duration, actions: &mut Vec<Action>) {
        match name {
            None => self.part_unclaimed(&Reason::Dismissed, now, actions),
            Some(name) => {
                if let Some(id) = self.find(name) {
                    self.part(id, Reason::Dismissed, now, actions);
                }
            }
        }
    }

    fn disconnected(&mut self, connection: ConnectionId, now: Duration, actions: &mut Vec<Action>) {
        if !self.is_current(connection) {
            return;
        }
        self.agent_left(now, actions);
        if self.exit_at.is_some() {
            self.part_unclaimed(&Reason::Stopped, now, actions);
        }
    }

    fn agent_left(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.agent = Agent::Away { since: now };
        for (id, entry) in &mut self.streams {
            match &mut entry.holder {
                Holder::Agent => {
                    entry.settled = now.saturating_add(SETTLE);
                    // At once: it is unknown when the agent sent the last one.
                    let next_keepalive = Some(entry.settled);
                    entry.holder = Holder::Keeper { next_keepalive, is_blocked: false, claimant: None };
                    actions.push(Action::TakeOver(*id));
                }
                Holder::Keeper { claimant, .. } => *claimant = None,
                Holder::Parting { .. } | Holder::Farewell { .. } | Holder::Draining { .. } => {}
            }
        }
    }

    fn stop(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.exit_at.is_some() {
            return;
        }
        self.exit_at = Some(now.saturating_add(LEAVE));
        actions.push(Action::StopAccepting);
        if let Agent::Connected(connection) = self.agent {
            actions.push(Action::Reply(connection, Reply::Leaving));
        }
        self.part_unclaimed(&Reason::Stopped, now, actions);
    }

    /// Ends all streams that no agent holds.
    fn part_unclaimed(&mut self, reason: &Reason, now: Duration, actions: &mut Vec<Action>) {
        let is_unclaimed = |entry: &Entry| matches!(entry.holder, Holder::Keeper { claimant: None, .. });
        let unclaimed: Vec<StreamId> =
            self.streams.iter().filter(|(_, entry)| is_unclaimed(entry)).map(|(id, _)| *id).collect();
        for id in unclaimed {
            self.part(id, reason.clone(), now, actions);
        }
    }

    fn part(&mut self, id: StreamId, reason: Reason, now: Duration, actions: &mut Vec<Action>) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        // The peer keeps its state when the stream ends without a farewell; with one it would not.
        if reason == Reason::Stopped && entry.terms.restartable {
            self.remove(id, reason, actions);
            return;
        }
        match entry.holder {
            Holder::Agent => {
                entry.settled = now.saturating_add(SETTLE);
                actions.push(Action::TakeOver(id));
            }
            Holder::Keeper { claimant: Some(connection), .. } => {
                actions.push(Action::Reply(connection, Reply::Unknown(entry.name.clone())));
            }
            _ => {}
        }
        entry.holder = Holder::Parting { reason };
    }

    /// Does what is due for one stream.
    fn act(&mut self, id: StreamId, now: Duration, actions: &mut Vec<Action>) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        match &mut entry.holder {
            Holder::Agent => {}
            Holder::Keeper { claimant: Some(connection), .. } => {
                actions.push(Action::Reply(*connection, Reply::Claimed(id)));
                entry.holder = Holder::Agent;
            }
            Holder::Keeper { next_keepalive, is_blocked, claimant: None } => {
                *next_keepalive = entry.terms.keepalive.map(|interval| now.saturating_add(interval));
                // Until the write is reported.
                *is_blocked = true;
                if entry.terms.keepalive.is_some() {
                    actions.push(Action::AppendKeepalive(id));
                }
                actions.push(Action::Write(id));
            }
            Holder::Parting { reason } => {
                actions.push(Action::AppendFarewell(id, reason.clone()));
                actions.push(Action::Write(id));
                entry.holder = Holder::Farewell { until: now.saturating_add(PARTING) };
            }
            Holder::Farewell { .. } | Holder::Draining { .. } => self.remove(id, Reason::TimedOut, actions),
        }
    }

    fn written(&mut self, id: StreamId, all: bool, now: Duration, actions: &mut Vec<Action>) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        match &mut entry.holder {
            Holder::Keeper { is_blocked, .. } => *is_blocked = !all,
            Holder::Farewell { .. } if all => {
                actions.push(Action::ShutDown(id));
                entry.holder = Holder::Draining { until: now.saturating_add(PARTING) };
            }
            _ => {}
        }
    }

    fn ended(&mut self, id: StreamId, actions: &mut Vec<Action>) {
        let reason = if self.is_draining(id) { Reason::Parted } else { Reason::PeerClosed };
        if self.is_watched(id) {
            self.remove(id, reason, actions);
        }
    }

    fn remove(&mut self, id: StreamId, reason: Reason, actions: &mut Vec<Action>) {
        if let Some(entry) = self.streams.remove(&id) {
            // The claim would not be answered any more.
            if let Holder::Keeper { claimant: Some(connection), .. } = entry.holder {
                actions.push(Action::Reply(connection, Reply::Unknown(entry.name)));
            }
            actions.push(Action::Drop(id, reason));
        }
    }

    /// Returns the stream of this name that is not parting.
    fn find(&self, name: &str) -> Option<StreamId> {
        self.streams.iter().find(|(_, entry)| entry.is_alive() && entry.name == name).map(|(id, _)| *id)
    }

    fn is_finished(&self, now: Duration) -> bool {
        if let Some(at) = self.exit_at {
            let is_away = matches!(self.agent, Agent::Away { .. });
            return now >= at || (is_away && self.streams.is_empty());
        }
        self.idle_at().is_some_and(|at| now >= at)
    }

    /// Returns when a keeper without work exits.
    fn idle_at(&self) -> Option<Duration> {
        match self.agent {
            Agent::Away { since } if self.exits_when_idle && self.streams.is_empty() => {
                Some(if self.had_agent { since } else { since.saturating_add(FIRST_AGENT) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
