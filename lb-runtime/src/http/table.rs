//! The table of a server's connections: the bytes that each holds, and which one is evicted for another.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::limits::HttpLimits;
use super::listener::ClientKey;

/// The interval at which a full server logs that it is full.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The connections of a server.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    /// The server's name in log lines.
    pub(super) name: &'static str,
    pub(super) limits: HttpLimits,
    connections: Mutex<Connections>,
}

/// The ID of a connection; the server never reuses it.
pub(super) type ConnectionId = u64;

/// Resolves when the connection has been evicted.
pub(super) type Evicted = oneshot::Receiver<()>;

#[derive(Debug, Default)]
struct Connections {
    next: ConnectionId,
    by_id: BTreeMap<ConnectionId, Connection>,
    /// Bytes that all connections hold.
    held: usize,
    /// When the server last logged that it is full.
    logged_at: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    client: ClientKey,
    /// Since when it has waited for its client; `None` while the server handles its request.
    waiting: Option<Instant>,
    /// When the server closes it unless it makes progress.
    deadline: Instant,
    /// Bytes of its request body or response.
    held: usize,
    /// Resolves [`Evicted`] when dropped.
    _eviction: oneshot::Sender<()>,
}

impl ConnectionTable {
    pub(super) fn new(name: &'static str, limits: HttpLimits) -> Self {
        Self { name, limits, connections: Mutex::default() }
    }

    /// Admits a new connection, and evicts another one if the server is full. Returns `None` while the server
    /// handles a request on every connection.
    pub(super) fn admit(&self, client: ClientKey, now: Instant) -> Option<(ConnectionId, Evicted)> {
        let mut connections = self.connections();
        if connections.by_id.len() >= self.limits.connections {
            self.log_full(&mut connections, now);
            let victim = connections.longest_waiting(client)?;
            connections.remove(victim);
        }
        let (eviction, evicted) = oneshot::channel();
        let id = connections.next;
        connections.next += 1;
        let deadline = now + self.limits.head;
        let connection = Connection { client, waiting: Some(now), deadline, held: 0, _eviction: eviction };
        connections.by_id.insert(id, connection);
        Some((id, evicted))
    }

    fn log_full(&self, connections: &mut Connections, now: Instant) {
        if connections.logged_at.is_none_or(|at| now.saturating_duration_since(at) >= LOG_EVERY) {
            connections.logged_at = Some(now);
            tracing::warn!(
                connections = self.limits.connections,
                "too many connections to {}: closing those that have waited longest for their clients",
                self.name
            );
        }
    }

    /// Notes that the connection waits for its client, for at most `limit`.
    pub(super) fn wait(&self, id: ConnectionId, limit: Duration, now: Instant) {
        if let Some(connection) = self.connections().by_id.get_mut(&id) {
            connection.waiting = Some(now);
            connection.deadline = now + limit;
        }
    }

    /// Notes that the server handles a request on the connection, for at most `limit`.
    pub(super) fn work(&self, id: ConnectionId, limit: Duration, now: Instant) {
        if let Some(connection) = self.connections().by_id.get_mut(&id) {
            connection.waiting = None;
            connection.deadline = now + limit;
        }
    }

    /// Returns when to close the connection; `None` if it is not in the table any more.
    pub(super) fn deadline(&self, id: ConnectionId) -> Option<Instant> {
        self.connections().by_id.get(&id).map(|connection| connection.deadline)
    }

    /// Accounts `more` bytes to the connection, and evicts connections that wait for their clients and hold
    /// more. Returns whether there is room.
    pub(super) fn hold(&self, id: ConnectionId, more: usize) -> bool {
        let mut connections = self.connections();
        let Some(own) = connections.by_id.get(&id).map(|connection| connection.held) else {
            return false;
        };
        let wanted = own.saturating_add(more);
        while connections.held > own && connections.held.saturating_add(more) > self.limits.bytes {
            match connections.heaviest(id, wanted) {
                Some(victim) => connections.remove(victim),
                None => return false,
            }
        }
        connections.held += more;
        if let Some(connection) = connections.by_id.get_mut(&id) {
            connection.held = wanted;
        }
        true
    }

    /// Releases all bytes that the connection holds.
    pub(super) fn release(&self, id: ConnectionId) {
        let mut connections = self.connections();
        let held = connections.by_id.get_mut(&id).map_or(0, |it| std::mem::take(&mut it.held));
        connections.held -= held;
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&self, id: ConnectionId) {
        self.connections().remove(id);
    }

    /// Returns the id of connections and the bytes that they hold.
    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize) {
        let connections = self.connections();
        (connections.by_id.len(), connections.held)
    }

    /// Locks the connections. A panic of another task that held the lock leaves every id consistent.
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    fn remove(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.remove(&id) {
            self.held -= connection.held;
        }
    }

    /// Returns the connection that has waited longest among those of the client with the most connections,
    /// counting the `newcomer`.
    fn longest_waiting(&self, newcomer: ClientKey) -> Option<ConnectionId> {
        let mut counts = BTreeMap::from([(newcomer, 1_usize)]);
        for connection in self.by_id.values() {
            *counts.entry(connection.client).or_default() += 1;
        }
        let waiting = self.by_id.iter().filter_map(|(id, connection)| {
            let count = counts.get(&connection.client).copied().unwrap_or_default();
            Some((std::cmp::Reverse(count), connection.waiting?, *id))
        });
        waiting.min().map(|(_, _, id)| id)
    }

    /// Returns the connection that holds most among those that wait for their clients and hold at least
    /// `least`; of several, the one that has waited longest.
    fn heaviest(&self, except: ConnectionId, least: usize) -> Option<ConnectionId> {
        let waiting = self.by_id.iter().filter_map(|(id, connection)| {
            let is_heavy = *id != except && connection.held > 0 && connection.held >= least;
            Some((std::cmp::Reverse(connection.held), connection.waiting.filter(|_| is_heavy)?, *id))
        });
        waiting.min().map(|(_, _, id)| id)
    }
}

#[cfg(test)]
mod tests;
