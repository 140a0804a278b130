//! The sessions that survive this process: given to the keeper, and taken over from it.

use std::net::TcpStream as StdTcpStream;
use std::time::Duration;

use lb_bgp::session::{AdoptError, ConnectionDirection, Peer, Shutdown};
use lb_keeper::journal::{Journal, JournalError};
use lb_keeper::{KeeperClient, Stream, position};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PeerLoop;
use crate::connection::{BgpConnection, ClosingConnections, ConnectionLoss};
use crate::desired::DesiredPeer;
use crate::kept_session::{KeptIdentity, KeptSession, ReadState, StateError};
use lb_runtime::watchdog::Heart;

/// Time from the start within which a peer waits for the connection to the keeper.
const EARLY: Duration = Duration::from_secs(3);
/// Time in which a session that was taken over by mistake must be back.
const RECLAIM: Duration = Duration::from_secs(2);
/// Interval of attempts to get it back.
const RECLAIM_EVERY: Duration = Duration::from_millis(100);

/// The sessions of one peer in the keeper.
#[derive(Debug)]
pub(super) struct PeerKeeping {
    pub(super) keeper: KeeperClient,
    /// The keeper has been given a session that is not released.
    is_held: bool,
}

/// A session taken over from the keeper.
#[derive(Debug)]
pub(super) struct AdoptedSession {
    pub(super) peer: Peer,
    pub(super) direction: ConnectionDirection,
    pub(super) connection: BgpConnection,
}

/// A session of another process that cannot be adopted.
#[derive(Debug)]
struct UnusableSession {
    reason: UnusableReason,
    /// Its connection, if the peer is to remove the routes: the farewell is to be sent.
    connection: Option<Box<BgpConnection>>,
}

/// Reasons why a session cannot be adopted.
#[derive(Debug, thiserror::Error)]
enum UnusableReason {
    #[error("its connection is lost: {0}")]
    Lost(#[from] std::io::Error),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the peer's address, port, password, VRF or source address has changed")]
    Transport,
    #[error(transparent)]
    Adopt(#[from] AdoptError),
}

impl PeerKeeping {
    pub(super) const fn new(keeper: KeeperClient) -> Self {
        Self { keeper, is_held: false }
    }

    /// Takes over the session that another process has had with this peer. One that is of no use is closed.
    pub(super) async fn claim(
        &self,
        name: &str,
        desired: &DesiredPeer,
        seed: u64,
        now: Duration,
    ) -> Option<AdoptedSession> {
        if now >= EARLY && !self.keeper.status().connected {
            return None;
        }
        let stream = self.keeper.claim(name).await?;
        let UnusableSession { reason, connection } = match adopt(stream, desired, seed, now) {
            Ok(adopted) => return Some(adopted),
            Err(unusable) => unusable,
        };
        tracing::warn!(peer = %name, "cannot adopt the BGP session of the former agent: {reason}; opening a new one");
        self.keeper.release(name);
        if let Some(connection) = connection {
            connection.close().await;
        }
        None
    }
}

/// Continues a session.
fn adopt(
    stream: Stream,
    desired: &DesiredPeer,
    seed: u64,
    now: Duration,
) -> Result<AdoptedSession, UnusableSession> {
    let silent = |reason: UnusableReason| UnusableSession { reason, connection: None };
    let socket = open(StdTcpStream::from(stream.socket)).map_err(|error| silent(error.into()))?;
    let (socket, local, remote) = socket;
    let journal = Journal::open(stream.journal).map_err(|error| silent(error.into()))?;
    let unsent = position::written(&socket).map_err(JournalError::from);
    let unsent = unsent.and_then(|written| journal.unsent(written)).map_err(|error| silent(error.into()))?;
    let mut connection = BgpConnection::adopted(socket, unsent);
    let is_same_peer = remote.ip() == desired.transport.address;
    let outcome = ReadState::read(&stream.terms.state).map_err(UnusableReason::from).and_then(|state| {
        if !is_same_peer || !state.is_over(&desired.transport) {
            return Err(UnusableReason::Transport);
        }
        let snapshot = journal.snapshot()?;
        let sent = [snapshot.as_slice(), &journal.stream()?].concat();
        let config = desired.config.clone();
        let peer = Peer::adopt(config, &state.record, (local, remote), &sent, seed, now)?;
        Ok((peer, state))
    });
    match outcome {
        Ok((peer, state)) => {
            connection.kept = Some(KeptSession::adopted(journal, &state));
            Ok(AdoptedSession { peer, direction: state.record.direction, connection })
        }
        // The peer keeps the routes for the session that follows.
        Err(reason) if stream.terms.restartable && !matches!(reason, UnusableReason::Transport) => {
            Err(silent(reason))
        }
        Err(reason) => {
            // It is not kept, so that this cannot fail.
            let _ = connection.push(stream.terms.farewell);
            Err(UnusableSession { reason, connection: Some(Box::new(connection)) })
        }
    }
}

type OpenStream = (TcpStream, std::net::SocketAddr, std::net::SocketAddr);

fn open(socket: StdTcpStream) -> std::io::Result<OpenStream> {
    socket.set_nonblocking(true)?;
    let (local, remote) = (socket.local_addr()?, socket.peer_addr()?);
    Ok((TcpStream::from_std(socket)?, local, remote))
}

impl PeerKeeping {
    fn release(&mut self, name: &str) {
        if std::mem::take(&mut self.is_held) {
            self.keeper.release(name);
        }
    }

    /// Goes on without the keeper, until the next session.
    pub(super) fn give_up(&mut self, name: &str, error: &JournalError) {
        tracing::warn!(peer = %name, "cannot keep the BGP session over a restart of the agent: {error}");
        self.release(name);
    }
}

impl PeerLoop {
    /// Gives the Established session to the keeper, unless it has it as it is; releases one that has ended.
    pub(super) fn keep(&mut self) {
        let Some(keeping) = &mut self.keeping else { return };
        let handover = self.peer.handover(self.start.elapsed());
        let direction = handover.as_ref().map(|handover| handover.session.direction);
        let connection = direction.and_then(|direction| self.connections[direction as usize].as_mut());
        let (Some(handover), Some(connection)) = (handover, connection.filter(|it| !it.is_unkeepable)) else {
            keeping.release(&self.name);
            return;
        };
        let identity = KeptIdentity { name: &self.name, transport: &self.transport };
        match connection.keep(&keeping.keeper, identity, handover, || self.peer.sent_snapshot()) {
            Ok(()) => keeping.is_held = true,
            // The next read or write finds it out.
            Err(JournalError::Fenced) => {}
            Err(error) => {
                connection.kept = None;
                connection.is_unkeepable = true;
                keeping.give_up(&self.name, &error);
            }
        }
    }

    /// Returns whether the keeper has the Established session.
    pub(super) fn is_kept(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| keeping.is_held)
    }

    /// Drops a connection that was lost. One that another process has taken over is to be
    /// [reclaimed](Self::reclaim).
    pub(super) fn lose(&mut self, direction: ConnectionDirection, loss: &ConnectionLoss) {
        self.connections[direction as usize] = None;
        match (loss, &mut self.keeping) {
            (ConnectionLoss::TakenOver, Some(keeping)) => {
                // It is no longer this process's to release.
                keeping.is_held = false;
                self.taken_over = Some(direction);
            }
            _ => self.peer.handle_closed(direction, loss.reason(), self.now()),
        }
    }

    /// Takes the session back that another process has taken over: the keeper does so when it loses its
    /// connection to this process. If another agent has it, this one is to do nothing more.
    pub(super) async fn reclaim(&mut self, desired: &DesiredPeer, heart: &Heart) {
        let Some(direction) = self.taken_over.take() else { return };
        let Some(keeping) = &self.keeping else { return };
        if keeping.keeper.status().replaced {
            self.peer.shut_down(Shutdown::Replacement, self.now());
            return;
        }
        let attempts = async {
            loop {
                let now = self.start.elapsed();
                if let Some(adopted) = keeping.claim(&self.name, desired, self.seed, now).await {
                    return adopted;
                }
                tokio::time::sleep(RECLAIM_EVERY).await;
            }
        };
        match heart.beating(timeout(RECLAIM, attempts)).await {
            Ok(adopted) => {
                self.continue_with(adopted);
                if let Some(routes) = &desired.routes {
                    self.peer.set_routes(routes.clone());
                }
            }
            Err(_) => {
                keeping.keeper.release(&self.name);
                self.peer.handle_closed(direction, ConnectionLoss::TakenOver.reason(), self.now());
            }
        }
    }

    /// Drops all connections as if this process had died.
    pub(super) fn abandon(&mut self) {
        self.keeping = None;
        self.connections = [None, None];
        self.closing = ClosingConnections::default();
    }

    /// Continues an adopted session.
    pub(super) fn continue_with(&mut self, adopted: AdoptedSession) {
        let AdoptedSession { peer, direction, connection } = adopted;
        self.peer = peer;
        self.connections = [None, None];
        self.connections[direction as usize] = Some(connection);
    }
}
