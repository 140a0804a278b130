//! What stands between one neighbour's [`Peer`] and the world: a loop without an opinion.

use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, Instant};

use lb_bgp::session::{
    AdviceContext, BgpState, ConnectionDirection, Peer, PeerAction, PeerView, SessionClose, Shutdown,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::connection::{Connection, Farewells, Read};
use super::hints;
use super::socket::{self, SocketError};
use super::wanted::{Neighbour, Transport};
use lb_runtime::watchdog::Heart;

/// Connections of a neighbour that wait to be looked at; it can have no use for more.
const CONNECTIONS: usize = 4;
/// Reads before timers are looked at: what has come in by then counts as heard.
const READS: usize = 64;

/// A neighbour that is driven by a task of its own.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) wish: watch::Sender<Neighbour>,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) connections: mpsc::Sender<TcpStream>,
    pub(super) task: JoinHandle<()>,
}

/// What a driver may be told or asked.
#[derive(Debug)]
pub(super) enum Command {
    /// How does it stand?
    View(oneshot::Sender<PeerView>),
    /// The way to the neighbour is there, or gone.
    Bfd(bool),
    /// End the session, and the task with it.
    End(Shutdown),
}

type Attempt = Pin<Box<dyn Future<Output = Result<TcpStream, SocketError>> + Send>>;

struct Driver {
    name: String,
    peer: Peer,
    setup: AdviceContext,
    /// The kind of failure that was logged last, while there is no session.
    failure: Option<&'static str>,
    transport: Transport,
    start: Instant,
    attempt: Option<Attempt>,
    /// In the order of [`ConnectionDirection::BOTH`].
    connections: [Option<Connection>; 2],
    farewells: Farewells,
    buffer: Vec<u8>,
}

/// What woke the loop.
enum Wake {
    Wish,
    Command(Option<Command>),
    Accepted(TcpStream),
    Attempted(Result<TcpStream, SocketError>),
    Ready,
    /// A connection has been closed for good.
    Parted,
    Time,
}

impl Driven {
    /// Starts the task. `start` is what all times are counted from; `after` is waited for first.
    pub(super) fn start(
        name: String,
        neighbour: Neighbour,
        seed: u64,
        start: Instant,
        heart: Heart,
        after: Option<JoinHandle<()>>,
    ) -> Self {
        let (wish, wishes) = watch::channel(neighbour);
        let (commands, told) = mpsc::unbounded_channel();
        let (connections, accepted) = mpsc::channel(CONNECTIONS);
        let task = tokio::spawn(async move {
            if let Some(former) = after {
                // However it ended: its connections are gone.
                let _ = heart.beating(former).await;
            }
            let driver = Driver::new(name, &wishes.borrow(), seed, start);
            driver.run(wishes, told, accepted, &heart).await;
        });
        Self { wish, commands, connections, task }
    }
}

impl Driver {
    fn new(name: String, neighbour: &Neighbour, seed: u64, start: Instant) -> Self {
        let mut peer = Peer::new(neighbour.config.clone(), seed, start.elapsed());
        if let Some(routes) = &neighbour.routes {
            peer.set_routes(routes.clone());
        }
        Self {
            name,
            peer,
            setup: hints::setup(neighbour),
            failure: None,
            transport: neighbour.transport.clone(),
            start,
            attempt: None,
            connections: [None, None],
            farewells: Farewells::default(),
            buffer: Connection::buffer(),
        }
    }

    async fn run(
        mut self,
        mut wishes: watch::Receiver<Neighbour>,
        mut told: mpsc::UnboundedReceiver<Command>,
        mut accepted: mpsc::Receiver<TcpStream>,
        heart: &Heart,
    ) {
        loop {
            self.settle();
            let event = async {
                tokio::select! {
                    Ok(()) = wishes.changed() => Wake::Wish,
                    command = told.recv() => Wake::Command(command),
                    Some(stream) = accepted.recv() => Wake::Accepted(stream),
                    outcome = attempted(&mut self.attempt) => Wake::Attempted(outcome),
                    () = ready(&self.connections) => Wake::Ready,
                    Some(()) = self.farewells.next() => Wake::Parted,
                    () = sleep_until(self.start, self.peer.next_deadline()) => Wake::Time,
                }
            };
            let wake = heart.beating(event).await;
            if !self.handle(wake, &mut wishes) {
                break;
            }
            self.read_all();
            self.peer.handle_time(self.now());
            self.log_failure();
        }
        self.settle();
        while self.farewells.next().await.is_some() {}
    }

    /// False at the end of it all.
    fn handle(&mut self, wake: Wake, wishes: &mut watch::Receiver<Neighbour>) -> bool {
        match wake {
            Wake::Wish => {
                let wish = wishes.borrow_and_update();
                let now = self.start.elapsed();
                self.setup = hints::setup(&wish);
                self.peer.set_config(wish.config.clone(), now);
                if let Some(routes) = &wish.routes {
                    self.peer.set_routes(routes.clone());
                }
            }
            Wake::Command(Some(Command::View(asked))) => {
                // Whoever asked may have gone.
                let _ = asked.send(self.peer.view(self.now()));
            }
            Wake::Command(Some(Command::Bfd(up))) => self.peer.handle_bfd(up, self.now()),
            Wake::Command(Some(Command::End(shutdown))) => {
                self.peer.shut_down(shutdown, self.now());
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
            Wake::Ready | Wake::Parted | Wake::Time => {}
        }
        true
    }

    fn connected(&mut self, way: ConnectionDirection, stream: TcpStream) {
        let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else {
            // It is lost already.
            return self.lost_at_once(way);
        };
        // A neighbour from too far away does not get its first segment through.
        if socket::admit(&stream, remote.ip(), &self.transport).is_err() {
            return self.lost_at_once(way);
        }
        if self.peer.handle_connected(way, local, remote, self.now()) {
            self.connections[way as usize] = Some(Connection::new(stream));
        }
    }

    fn lost_at_once(&mut self, way: ConnectionDirection) {
        if way == ConnectionDirection::Outgoing {
            self.peer.handle_connect_failed("the connection was lost at once".to_owned(), self.now());
        }
    }

    /// Does what the peer wants done, until it wants nothing more.
    fn settle(&mut self) {
        loop {
            while let Some(action) = self.peer.poll_action() {
                self.act(action);
            }
            let lost = ConnectionDirection::BOTH.into_iter().filter(|way| !self.send(*way)).count();
            if lost == 0 {
                return;
            }
        }
    }

    fn act(&mut self, action: PeerAction) {
        match action {
            PeerAction::Connect => {
                let transport = self.transport.clone();
                self.attempt = Some(Box::pin(async move { socket::connect(&transport).await }));
            }
            PeerAction::Close(way) => {
                if way == ConnectionDirection::Outgoing {
                    self.attempt = None;
                }
                let last_words = self.peer.poll_bytes(way, self.now());
                if let Some(mut connection) = self.connections[way as usize].take() {
                    connection.push(last_words.unwrap_or_default());
                    self.farewells.add(connection);
                }
            }
            PeerAction::Established(way) => {
                let remote =
                    self.connections[way as usize].as_ref().and_then(|c| c.stream().peer_addr().ok());
                self.failure = None;
                tracing::info!(peer = %self.name, remote = ?remote, "BGP session is up");
            }
            PeerAction::Down(ending) if ending.reason.is_intentional() => {
                tracing::info!(peer = %self.name, "BGP session is over: {}", ending.reason);
            }
            PeerAction::Down(ending) => {
                self.failure = Some(ending.reason.label());
                tracing::warn!(peer = %self.name, "BGP session is down: {}", self.explained(&ending));
            }
            PeerAction::CapabilitiesRefused(refused) => tracing::warn!(
                peer = %self.name,
                "the router refuses capabilities ({}); the next OPEN goes without",
                refused.names().join(", ")
            ),
        }
    }

    /// Says why no session comes up, once for every kind of failure.
    fn log_failure(&mut self) {
        let is_down = self.peer.state() != BgpState::Established;
        let ending = self.peer.last_close().filter(|ending| is_down && !ending.reason.is_intentional());
        let Some(ending) = ending.filter(|ending| self.failure != Some(ending.reason.label())) else {
            return;
        };
        tracing::warn!(peer = %self.name, "no BGP session: {}", self.explained(ending));
        self.failure = Some(ending.reason.label());
    }

    /// What happened, and what to do about it.
    fn explained(&self, ending: &SessionClose) -> String {
        let advice = ending.advice(self.setup).map(|advice| format!(": {advice}"));
        format!("{}{}", ending.reason, advice.unwrap_or_default())
    }

    /// Gives the kernel what it takes; false when the connection turned out to be lost.
    fn send(&mut self, way: ConnectionDirection) -> bool {
        let now = self.start.elapsed();
        let Some(connection) = &mut self.connections[way as usize] else { return true };
        loop {
            let was_idle = connection.is_idle();
            match connection.write() {
                Ok(true) if !was_idle => self.peer.handle_sent(way, now),
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) => {
                    self.connections[way as usize] = None;
                    self.peer.handle_closed(way, Some(error.to_string()), now);
                    return false;
                }
            }
            match self.peer.poll_bytes(way, now) {
                Some(octets) => connection.push(octets),
                None => return true,
            }
        }
    }

    fn read_all(&mut self) {
        for way in ConnectionDirection::BOTH {
            for _ in 0..READS {
                let Some(connection) = &self.connections[way as usize] else { break };
                match connection.read(&mut self.buffer) {
                    Read::Octets(octets) => {
                        let now = self.start.elapsed();
                        self.peer.handle_bytes(way, self.buffer.get(..octets).unwrap_or_default(), now);
                    }
                    Read::Nothing => break,
                    Read::End(error) => {
                        self.connections[way as usize] = None;
                        self.peer.handle_closed(way, error.map(|error| error.to_string()), self.now());
                    }
                }
            }
        }
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

async fn ready(connections: &[Option<Connection>; 2]) {
    let one = async |connection: &Option<Connection>| match connection {
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
