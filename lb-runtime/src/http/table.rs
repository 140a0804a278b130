//! The connections of a server: what each holds, and which is closed for another.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Limits, Origin};

/// That a server is full is logged again after this time, while it is.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Table {
    /// Of the server, for the log.
    pub(super) name: &'static str,
    pub(super) limits: Limits,
    places: Mutex<Places>,
}

/// Names a connection for as long as the server runs.
pub(super) type Number = u64;

/// Resolves when the connection has lost its place.
pub(super) type Closed = oneshot::Receiver<()>;

#[derive(Debug, Default)]
struct Places {
    next: Number,
    connections: BTreeMap<Number, Connection>,
    /// Bytes that they hold together.
    held: usize,
    /// When it was last logged that the server is full.
    said: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    origin: Origin,
    /// Since when it waits for its client; `None` while it is worked for.
    waiting: Option<Instant>,
    /// When it is closed unless something happens.
    until: Instant,
    /// Bytes of its body or answer.
    held: usize,
    /// Dropped with the place.
    _place: oneshot::Sender<()>,
}

impl Table {
    pub(super) fn new(name: &'static str, limits: Limits) -> Self {
        Self { name, limits, places: Mutex::default() }
    }

    /// A place for a connection that has just come, if need be that of another; `None` where all are worked for.
    pub(super) fn admit(&self, origin: Origin, now: Instant) -> Option<(Number, Closed)> {
        let mut places = self.places();
        if places.connections.len() >= self.limits.connections {
            self.say_full(&mut places, now);
            let victim = places.slowest(origin)?;
            places.remove(victim);
        }
        let (place, closed) = oneshot::channel();
        let number = places.next;
        places.next += 1;
        let until = now + self.limits.head;
        let connection = Connection { origin, waiting: Some(now), until, held: 0, _place: place };
        places.connections.insert(number, connection);
        Some((number, closed))
    }

    fn say_full(&self, places: &mut Places, now: Instant) {
        if places.said.is_none_or(|said| now.saturating_duration_since(said) >= SAID_AGAIN) {
            places.said = Some(now);
            tracing::warn!(
                connections = self.limits.connections,
                "too many connections to {}: closing those that have waited longest for their clients",
                self.name
            );
        }
    }

    /// The connection waits for its client, for `limit` at most.
    pub(super) fn wait(&self, number: Number, limit: Duration, now: Instant) {
        if let Some(connection) = self.places().connections.get_mut(&number) {
            connection.waiting = Some(now);
            connection.until = now + limit;
        }
    }

    /// The connection is worked for, for `limit` at most.
    pub(super) fn work(&self, number: Number, limit: Duration, now: Instant) {
        if let Some(connection) = self.places().connections.get_mut(&number) {
            connection.waiting = None;
            connection.until = now + limit;
        }
    }

    /// When the connection is to be closed; `None` if it has no place any more.
    pub(super) fn until(&self, number: Number) -> Option<Instant> {
        self.places().connections.get(&number).map(|connection| connection.until)
    }

    /// Whether the connection may hold so many more bytes. For them, connections that wait for their clients and hold
    /// more lose their places.
    pub(super) fn hold(&self, number: Number, more: usize) -> bool {
        let mut places = self.places();
        let Some(own) = places.connections.get(&number).map(|connection| connection.held) else {
            return false;
        };
        let wanted = own.saturating_add(more);
        while places.held > own && places.held.saturating_add(more) > self.limits.bytes {
            match places.heaviest(number, wanted) {
                Some(victim) => places.remove(victim),
                None => return false,
            }
        }
        places.held += more;
        if let Some(connection) = places.connections.get_mut(&number) {
            connection.held = wanted;
        }
        true
    }

    /// The connection holds nothing any more.
    pub(super) fn release(&self, number: Number) {
        let mut places = self.places();
        let held = places.connections.get_mut(&number).map_or(0, |it| std::mem::take(&mut it.held));
        places.held -= held;
    }

    /// The connection is over.
    pub(super) fn remove(&self, number: Number) {
        self.places().remove(number);
    }

    /// Connections, and bytes that they hold.
    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize) {
        let places = self.places();
        (places.connections.len(), places.held)
    }

    /// A panic of another task while it held the lock leaves every number as it was.
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn remove(&mut self, number: Number) {
        if let Some(connection) = self.connections.remove(&number) {
            self.held -= connection.held;
        }
    }

    /// Of the client with the most connections, where the `newcomer` counts, the one that has waited longest.
    fn slowest(&self, newcomer: Origin) -> Option<Number> {
        let mut counts = BTreeMap::from([(newcomer, 1_usize)]);
        for connection in self.connections.values() {
            *counts.entry(connection.origin).or_default() += 1;
        }
        let waiting = self.connections.iter().filter_map(|(number, connection)| {
            let count = counts.get(&connection.origin).copied().unwrap_or_default();
            Some((std::cmp::Reverse(count), connection.waiting?, *number))
        });
        waiting.min().map(|(_, _, number)| number)
    }

    /// Of the connections that wait for their clients and hold at least so much, the one that holds most; of several, the
    /// one that has waited longest.
    fn heaviest(&self, but: Number, least: usize) -> Option<Number> {
        let waiting = self.connections.iter().filter_map(|(number, connection)| {
            let is_heavy = *number != but && connection.held > 0 && connection.held >= least;
            Some((std::cmp::Reverse(connection.held), connection.waiting.filter(|_| is_heavy)?, *number))
        });
        waiting.min().map(|(_, _, number)| number)
    }
}

#[cfg(test)]
mod tests;
