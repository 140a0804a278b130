//! The task of one peer: drives the session ([`Peer`]) and its TCP connections.

mod keep;

use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, Instant};

use lb_bgp::session::{
    AdviceContext, BgpState, ConnectionDirection, Peer, PeerAction, PeerView, SessionClose, Shutdown,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::keep::PeerKeeping;
use super::connection::{BgpConnection, ClosingConnections, ConnectionLoss, ReadOutcome};
use super::desired::{DesiredPeer, Transport};
use super::hints;
use super::socket::{self, SocketError};
use lb_keeper::KeeperClient;
use lb_keeper::journal::JournalError;
use lb_runtime::watchdog::Heart;

/// Incoming connections of a peer that may be queued; more are useless.
const CONNECTIONS: usize = 4;
/// Reads per connection before timers are checked: all data received by then counts.
const READS: usize = 64;

/// Handle of a peer's task.
#[derive(Debug)]
pub(super) struct PeerTask {
    pub(super) desired: watch::Sender<DesiredPeer>,
    pub(super) commands: mpsc::UnboundedSender<PeerCommand>,
    pub(super) connections: mpsc::Sender<TcpStream>,
    /// True once the task has taken over what another process has left to it.
    pub(super) has_claimed: watch::Receiver<bool>,
    pub(super) task: JoinHandle<()>,
}

/// What a task needs at its start, beside the peer.
pub(super) struct TaskContext {
    pub(super) seed: u64,
    /// All times count from it.
    pub(super) start: Instant,
    pub(super) heart: Heart,
    /// Holds the sessions while no agent runs.
    pub(super) keeper: Option<KeeperClient>,
    /// The task to wait for.
    pub(super) after: Option<JoinHandle<()>>,
}

/// A command to the task.
#[derive(Debug)]
pub(super) enum PeerCommand {
    /// Requests a snapshot.
    View(oneshot::Sender<PeerView>),
    /// Reports the BFD state.
    Bfd(bool),
    /// Closes the session and ends the task.
    End(Shutdown),
    /// Ends the task, and leaves the session to the keeper if it has it.
    Leave,
    /// Ends the task without a word to the peer: another process has its sessions.
    Retire,
}

type Attempt = Pin<Box<dyn Future<Output = Result<TcpStream, SocketError>> + Send>>;

struct PeerLoop {
    name: String,
    peer: Peer,
    advice_context: AdviceContext,
    /// The kind of failure logged last, while there is no session.
    failure: Option<&'static str>,
    transport: Transport,
    seed: u64,
    start: Instant,
    keeping: Option<PeerKeeping>,
    /// The connection of a session that another process has taken over.
    taken_over: Option<ConnectionDirection>,
    attempt: Option<Attempt>,
    /// In the order of [`ConnectionDirection::BOTH`].
    connections: [Option<BgpConnection>; 2],
    closing: ClosingConnections,
    buffer: Vec<u8>,
}

/// The event that woke the loop.
enum Wake {
    Desired,
    Command(Option<PeerCommand>),
    Accepted(TcpStream),
    Attempted(Result<TcpStream, SocketError>),
    Ready,
    /// A connection has been closed completely.
    Closed,
    Time,
}

impl PeerTask {
    /// Starts the task.
    pub(super) fn start(name: String, initial: DesiredPeer, context: TaskContext) -> Self {
        let (desired, mut desired_rx) = watch::channel(initial);
        let (commands, command_rx) = mpsc::unbounded_channel();
        let (connections, accepted_rx) = mpsc::channel(CONNECTIONS);
        let (claimed, has_claimed) = watch::channel(false);
        let task = tokio::spawn(async move {
            let TaskContext { seed, start, heart, keeper, after } = context;
            if let Some(former) = after {
                // Whatever the result, its connections are closed.
                let _ = heart.beating(former).await;
            }
            let keeping = keeper.map(PeerKeeping::new);
            let first = desired_rx.borrow_and_update().clone();
            let adopted = match &keeping {
                Some(keeping) => heart.beating(keeping.claim(&name, &first, seed, start.elapsed())).await,
                None => None,
            };
            claimed.send_replace(true);
            let mut peer_loop = PeerLoop::new(name, &first, seed, start, keeping);
            if let Some(adopted) = adopted {
                peer_loop.continue_with(adopted);
            }
            peer_loop.set_routes(&first);
            peer_loop.run(desired_rx, command_rx, accepted_rx, &heart).await;
        });
        Self { desired, commands, connections, has_claimed, task }
    }
}

impl PeerLoop {
    fn new(
        name: String,
        desired: &DesiredPeer,
        seed: u64,
        start: Instant,
        keeping: Option<PeerKeeping>,
    ) -> Self {
        Self {
            name,
            peer: Peer::new(desired.config.clone(), seed, start.elapsed()),
            advice_context: hints::advice_context(desired),
            failure: None,
            transport: desired.transport.clone(),
            seed,
            start,
            keeping,
            taken_over: None,
            attempt: None,
            connections: [None, None],
            closing: ClosingConnections::default(),
            buffer: BgpConnection::buffer(),
        }
    }

    async fn run(
        mut self,
        mut desired: watch::Receiver<DesiredPeer>,
        mut commands: mpsc::UnboundedReceiver<PeerCommand>,
        mut accepted: mpsc::Receiver<TcpStream>,
        heart: &Heart,
    ) {
        loop {
            self.run_actions();
            if self.taken_over.is_some() {
                let latest = desired.borrow_and_update().clone();
                self.reclaim(&latest, heart).await;
                continue;
            }
            self.keep();
            let event = async {
                tokio::select! {
                    Ok(()) = desired.changed() => Wake::Desired,
                    command = commands.recv() => Wake::Command(command),
                    Some(stream) = accepted.recv() => Wake::Accepted(stream),
                    outcome = attempted(&mut self.attempt) => Wake::Attempted(outcome),
                    () = ready(&self.connections) => Wake::Ready,
                    Some(()) = self.closing.next() => Wake::Closed,
                    () = sleep_until(self.start, self.peer.next_deadline()) => Wake::Time,
                }
            };
            let wake = heart.beating(event).await;
            if !self.handle(wake, &mut desired) {
                break;
            }
            self.read_all();
            self.peer.handle_time(self.now());
            self.log_failure();
        }
        self.run_actions();
        self.keep();
        while self.closing.next().await.is_some() {}
    }

    /// Applies the latest desired state.
    fn apply(&mut self, desired: &mut watch::Receiver<DesiredPeer>) {
        let desired = desired.borrow_and_update().clone();
        let now = self.start.elapsed();
        self.advice_context = hints::advice_context(&desired);
        self.peer.set_config(desired.config.clone(), now);
        self.set_routes(&desired);
    }

    /// Handles an event; returns false at the end.
    fn handle(&mut self, wake: Wake, desired: &mut watch::Receiver<DesiredPeer>) -> bool {
        match wake {
            Wake::Desired => self.apply(desired),
            Wake::Command(Some(PeerCommand::View(reply))) => {
                // So that routes which were set before the request count as pending.
                if desired.has_changed().unwrap_or(false) {
                    self.apply(desired);
                }
                // The requester may be gone.
                let _ = reply.send(self.peer.view(self.now()));
            }
            Wake::Command(Some(PeerCommand::Bfd(up))) => self.peer.handle_bfd(up, self.now()),
            Wake::Command(Some(PeerCommand::End(shutdown))) => {
                self.peer.shut_down(shutdown, self.now());
                return false;
            }
            Wake::Command(Some(PeerCommand::Leave)) if self.is_kept() => {
                self.abandon();
                return false;
            }
            Wake::Command(Some(PeerCommand::Retire)) => {
                self.abandon();
                return false;
            }
            Wake::Command(Some(PeerCommand::Leave)) => {
                self.peer.shut_down(Shutdown::Replacement, self.now());
                return false;
            }
            Wake::Command(None) => return false,
            Wake::Accepted(stream) => self.connected(ConnectionDirection::Incoming, stream),
            Wake::Attempted(outcome) => {
                self.attempt = None;
                match outcome {
                    Ok(stream) => self.connected(ConnectionDirection::Outgoing, stream),
                    Err(error) => self.peer.handle_connect_failed(error.to_string(), self.now()),
                }
            }
            Wake::Ready | Wake::Closed | Wake::Time => {}
        }
        true
    }

    fn set_routes(&mut self, desired: &DesiredPeer) {
        if let Some(routes) = &desired.routes {
            self.peer.set_routes(routes.clone());
        }
    }

    fn connected(&mut self, direction: ConnectionDirection, stream: TcpStream) {
        let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else {
            // Already lost.
            return self.handle_immediate_loss(direction);
        };
        // The first segment of a peer too far away is already dropped.
        if socket::set_minimum_ttl(&stream, remote.ip(), &self.transport).is_err() {
            return self.handle_immediate_loss(direction);
        }
        if self.peer.handle_connected(direction, local, remote, self.now()) {
            self.connections[direction as usize] = Some(BgpConnection::new(stream));
        }
    }

    fn handle_immediate_loss(&mut self, direction: ConnectionDirection) {
        if direction == ConnectionDirection::Outgoing {
            self.peer.handle_connect_failed("connection lost immediately".to_owned(), self.now());
        }
    }

    /// Executes the session's actions until there are none.
    fn run_actions(&mut self) {
        loop {
            while let Some(action) = self.peer.poll_action() {
                self.execute(action);
            }
            let lost =
                ConnectionDirection::BOTH.into_iter().filter(|direction| !self.send(*direction)).count();
            if lost == 0 {
                return;
            }
        }
    }

    fn execute(&mut self, action: PeerAction) {
        match action {
            PeerAction::Connect => {
                let transport = self.transport.clone();
                self.attempt = Some(Box::pin(async move { socket::connect(&transport).await }));
            }
            PeerAction::Close(direction) => {
                if direction == ConnectionDirection::Outgoing {
                    self.attempt = None;
                }
                let final_messages = self.peer.poll_bytes(direction, self.now());
                if let Some(mut connection) = self.connections[direction as usize].take() {
                    let pushed = connection.push(final_messages.unwrap_or_default());
                    // What another process has taken over is not ours to close.
                    if !matches!(pushed, Err(JournalError::Fenced)) {
                        self.closing.add(connection);
                    }
                }
            }
            PeerAction::Established(direction) => {
                self.failure = None;
                tracing::info!(peer = %self.name, remote = self.remote(direction), "BGP session up");
            }
            PeerAction::Adopted(direction) => {
                tracing::info!(peer = %self.name, remote = self.remote(direction), "BGP session adopted");
            }
            PeerAction::Down(close) if close.reason.is_intentional() => {
                tracing::info!(peer = %self.name, "BGP session closed: {}", close.reason);
            }
            PeerAction::Down(close) => {
                self.failure = Some(close.reason.label());
                tracing::warn!(peer = %self.name, "BGP session down: {}", self.describe(&close));
            }
            PeerAction::CapabilitiesRefused(refused) => tracing::warn!(
                peer = %self.name,
                "the peer rejects capabilities ({}); omitting them from the next OPEN",
                refused.names().join(", ")
            ),
        }
    }

    fn remote(&self, direction: ConnectionDirection) -> String {
        let connection = self.connections[direction as usize].as_ref();
        let remote = connection.and_then(|connection| connection.stream().peer_addr().ok());
        remote.map(|address| address.to_string()).unwrap_or_default()
    }

    /// Logs why no session comes up, once per kind of failure.
    fn log_failure(&mut self) {
        let is_down = self.peer.state() != BgpState::Established;
        let close = self.peer.last_close().filter(|close| is_down && !close.reason.is_intentional());
        let Some(close) = close.filter(|close| self.failure != Some(close.reason.label())) else {
            return;
        };
        tracing::warn!(peer = %self.name, "no BGP session: {}", self.describe(close));
        self.failure = Some(close.reason.label());
    }

    /// Returns the reason and the advice.
    fn describe(&self, close: &SessionClose) -> String {
        let advice = close.advice(self.advice_context).map(|advice| format!("; {advice}"));
        format!("{}{}", close.reason, advice.unwrap_or_default())
    }

    /// Writes pending octets; returns false if the connection was found to be lost.
    fn send(&mut self, direction: ConnectionDirection) -> bool {
        let now = self.start.elapsed();
        let Some(connection) = &mut self.connections[direction as usize] else { return true };
        loop {
            let was_idle = connection.is_idle();
            match connection.write() {
                Ok(true) if !was_idle => self.peer.handle_sent(direction, now),
                Ok(true) => {}
                Ok(false) => return true,
                Err(loss) => {
                    self.lose(direction, &loss);
                    return false;
                }
            }
            let Some(octets) = self.peer.poll_bytes(direction, now) else { return true };
            match (connection.push(octets), &mut self.keeping) {
                (Err(JournalError::Fenced), _) => {
                    self.lose(direction, &ConnectionLoss::TakenOver);
                    return false;
                }
                (Err(error), Some(keeping)) => keeping.give_up(&self.name, &error),
                (Ok(()) | Err(_), _) => {}
            }
        }
    }

    fn read_all(&mut self) {
        for direction in ConnectionDirection::BOTH {
            for _ in 0..READS {
                if !self.read(direction) {
                    break;
                }
            }
        }
    }

    /// Handles the whole messages received on a connection; returns false if there are none. They leave the
    /// socket when what they cause is in the journal.
    fn read(&mut self, direction: ConnectionDirection) -> bool {
        let Some(connection) = &self.connections[direction as usize] else { return false };
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = connection.peek(&mut buffer, |octets| self.peer.complete_messages(direction, octets));
        let is_read = match outcome {
            ReadOutcome::Octets(octets) => {
                let octets = buffer.get_mut(..octets).unwrap_or_default();
                self.peer.handle_bytes(direction, octets, self.now());
                self.run_actions();
                let connection = self.connections[direction as usize].as_mut();
                if let Some(Err(loss)) = connection.map(|connection| connection.consume(octets)) {
                    self.lose(direction, &loss);
                }
                true
            }
            ReadOutcome::Nothing => false,
            ReadOutcome::Lost(loss) => {
                self.lose(direction, &loss);
                false
            }
        };
        self.buffer = buffer;
        is_read
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

async fn attempted(attempt: &mut Option<Attempt>) -> Result<TcpStream, SocketError> {
    match attempt {
        Some(attempt) => attempt.await,
        None => pending().await,
    }
}

async fn ready(connections: &[Option<BgpConnection>; 2]) {
    let one = async |connection: &Option<BgpConnection>| match connection {
        Some(connection) => connection.ready().await,
        None => pending().await,
    };
    let [opened, accepted] = connections;
    tokio::select! {
        () = one(opened) => {}
        () = one(accepted) => {}
    }
}

async fn sleep_until(start: Instant, deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until((start + deadline).into()).await,
        None => pending().await,
    }
}
