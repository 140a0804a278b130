//! The keeper's process: a poll loop of one thread around a pure engine.

mod agents;
mod held;
mod lock;
mod poll;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use self::agents::AgentConnection;
use self::held::HeldStream;
use self::lock::{SocketFile, SocketLock};
use self::poll::{PollSet, Readiness, Source};
use super::channel::{Incoming, Listener, Received};
use super::engine::{Action, ConnectionId, Engine, Event, Reason, Reply, StreamId};
use super::message::{AgentMessage, KeeperMessage, MAX_NAMES, VERSIONS};

/// Messages of one agent that are handled before others have their turn.
const MESSAGES_PER_TURN: usize = 256;
/// Connections, those of agents that have not said hello included.
const MAX_CONNECTIONS: usize = 16;
/// Time in which an agent must say hello.
const HELLO: Duration = Duration::from_secs(2);

/// Options of the keeper.
#[derive(Clone, Debug)]
pub struct KeeperOptions {
    /// The socket that agents connect to.
    pub socket: PathBuf,
    /// How long streams are kept while no agent is connected.
    pub bound: Duration,
    /// Exit when no agent is connected and no stream is held. Such a keeper does not wait for another one
    /// that uses the same socket.
    pub exit_when_idle: bool,
    /// The release of this program.
    pub release: String,
}

/// Errors that end the keeper.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The lock beside the socket is not available.
    #[error("cannot lock {}: {source}", .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The socket is not available.
    #[error("cannot listen on {}: {source}", .path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// Signals or descriptors cannot be waited for.
    #[error("cannot wait for agents and signals: {0}")]
    Wait(#[source] io::Error),
}

/// Blocks SIGTERM and SIGINT in this thread, and returns a descriptor that is readable when one arrives. Call
/// it before other threads start.
///
/// # Errors
/// If the kernel refuses.
pub fn stop_signals() -> Result<SignalFd, KeeperError> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block().map_err(|error| KeeperError::Wait(error.into()))?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&signals, flags).map_err(|error| KeeperError::Wait(error.into()))
}

/// Runs a keeper until `stop` is readable and its agent is gone.
///
/// # Errors
/// See [`KeeperError`].
pub fn run(options: &KeeperOptions, stop: impl AsFd) -> Result<(), KeeperError> {
    raise_descriptor_limit();
    let listen_error = |source| KeeperError::Listen { path: options.socket.clone(), source };
    if let Some(directory) = options.socket.parent() {
        std::fs::create_dir_all(directory).map_err(listen_error)?;
    }
    let Some(_lock) = SocketLock::acquire(&options.socket, !options.exit_when_idle, &stop)? else {
        return Ok(());
    };
    let (listener, file) = lock::listen(&options.socket).map_err(listen_error)?;
    tracing::info!(socket = %options.socket.display(), "keeper is running");
    let mut keeper = Keeper {
        engine: Engine::new(options.bound, options.exit_when_idle, Duration::ZERO),
        start: Instant::now(),
        release: options.release.clone(),
        listener: Some((listener, file)),
        connections: BTreeMap::new(),
        streams: BTreeMap::new(),
        next: 0,
        is_stopping: false,
        is_done: false,
    };
    while !keeper.is_done {
        keeper.turn(&stop)?;
    }
    tracing::info!("keeper stops");
    Ok(())
}

/// Two descriptors a stream.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit on open files; keeping it");
    }
}

struct Keeper {
    engine: Engine,
    start: Instant,
    release: String,
    listener: Option<(Listener, SocketFile)>,
    connections: BTreeMap<ConnectionId, AgentConnection>,
    streams: BTreeMap<StreamId, HeldStream>,
    /// The number of the next stream or connection.
    next: u64,
    is_stopping: bool,
    is_done: bool,
}

impl Keeper {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Waits for events, and handles them.
    fn turn(&mut self, stop: &impl AsFd) -> Result<(), KeeperError> {
        let ready = self.wait(stop).map_err(KeeperError::Wait)?;
        for (source, readiness) in ready {
            match source {
                Source::Stop => {
                    self.is_stopping = true;
                    self.handle(Event::Stop);
                }
                Source::Listener => self.accept(),
                Source::Connection(id) => self.serve(id),
                Source::Stream(id) => self.attend(id, readiness),
            }
        }
        self.drop_silent_connections();
        let now = self.now();
        let due = self.engine.poll(now);
        self.apply(due);
        Ok(())
    }

    fn wait(&self, stop: &impl AsFd) -> io::Result<Vec<(Source, Readiness)>> {
        let mut set = PollSet::default();
        if !self.is_stopping {
            set.add(Source::Stop, stop.as_fd(), false);
        }
        if let Some((listener, _)) = &self.listener
            && self.connections.len() < MAX_CONNECTIONS
        {
            set.add(Source::Listener, listener.as_fd(), false);
        }
        for (id, connection) in &self.connections {
            set.add(Source::Connection(*id), connection.as_fd(), connection.has_output());
        }
        for (id, stream) in self.streams.iter().filter(|(id, _)| self.engine.is_watched(**id)) {
            if self.engine.is_draining(*id) {
                set.add(Source::Stream(*id), stream.as_fd(), false);
            } else {
                set.add_end(Source::Stream(*id), stream.as_fd(), self.engine.is_blocked(*id));
            }
        }
        let hellos = self.connections.values().filter_map(AgentConnection::deadline);
        let deadline = self.engine.deadline().into_iter().chain(hellos).min();
        set.wait(deadline.map(|at| at.saturating_sub(self.now())))
    }

    fn accept(&mut self) {
        let Some((listener, _)) = &self.listener else { return };
        match listener.accept() {
            Ok(channel) => {
                let id = ConnectionId(self.number());
                let connection = AgentConnection::new(channel, self.now() + HELLO);
                self.connections.insert(id, connection);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept an agent");
                // Such as too many open files: the socket stays readable.
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Receives and sends on the connection of an agent.
    fn serve(&mut self, id: ConnectionId) {
        for _ in 0..MESSAGES_PER_TURN {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            match connection.receive() {
                Ok(Incoming::Message(received)) => self.receive(id, received),
                Ok(Incoming::Nothing) => break,
                Ok(Incoming::End) => return self.disconnect(id),
                Err(error) => {
                    tracing::warn!(%error, "closing the connection of an agent");
                    return self.disconnect(id);
                }
            }
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            // If the agent is gone, its last messages come first, and then its end.
            let _ = connection.flush();
        }
    }

    fn disconnect(&mut self, id: ConnectionId) {
        if self.connections.remove(&id).is_some() {
            self.handle(Event::Disconnected(id));
        }
    }

    fn drop_silent_connections(&mut self) {
        let now = self.now();
        self.connections.retain(|_, connection| connection.deadline().is_none_or(|at| now < at));
    }

    fn receive(&mut self, connection: ConnectionId, received: Received<AgentMessage>) {
        let is_greeted = self.connections.get(&connection).is_some_and(AgentConnection::is_greeted);
        match received.message {
            AgentMessage::Hello { versions, release } if !is_greeted => {
                tracing::info!(release, "an agent has connected");
                let version = VERSIONS.common(versions);
                if let Some(agent) = self.connections.get_mut(&connection) {
                    agent.greet(version);
                }
                let event = if version.is_some() { Event::Hello } else { Event::Foreign };
                self.handle(event(connection));
            }
            AgentMessage::Hold { name, terms } if is_greeted => {
                match HeldStream::new(&name, terms, received.descriptors) {
                    Ok(stream) => {
                        let id = StreamId(self.number());
                        let terms = stream.engine_terms();
                        self.streams.insert(id, stream);
                        self.handle(Event::Hold { connection, id, name, terms });
                    }
                    Err(reason) => {
                        // The agent has replaced what the keeper had.
                        self.handle(Event::Release { connection, name: name.clone() });
                        self.send(connection, KeeperMessage::Rejected { name, reason }, Vec::new());
                    }
                }
            }
            AgentMessage::Claim { name } if is_greeted => self.handle(Event::Claim { connection, name }),
            AgentMessage::Release { name } if is_greeted => self.handle(Event::Release { connection, name }),
            AgentMessage::Dismiss { name } if is_greeted => self.handle(Event::Dismiss { connection, name }),
            _ => {
                tracing::warn!("closing the connection of an agent: unexpected message");
                self.disconnect(connection);
            }
        }
    }

    /// Handles what the kernel reports of a stream.
    fn attend(&mut self, id: StreamId, readiness: Readiness) {
        // An earlier event of the same turn may have handed it over.
        if !self.engine.is_watched(id) {
            return;
        }
        let Some(stream) = self.streams.get(&id) else { return };
        if self.engine.is_draining(id) {
            if stream.discard_input() {
                self.handle(Event::Ended(id));
            }
        } else if readiness.is_ended {
            self.handle(Event::Ended(id));
        } else if readiness.is_writable {
            self.handle(Event::Writable(id));
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        let actions = self.engine.handle(event, now);
        self.apply(actions);
    }

    fn apply(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::TakeOver(id) => self.on_stream(id, HeldStream::take_over),
                Action::AppendKeepalive(id) => self.on_stream(id, HeldStream::append_keepalive),
                Action::AppendFarewell(id, reason) => {
                    self.on_stream(id, |stream| stream.append_farewell(&reason));
                }
                Action::Write(id) => self.write(id),
                Action::ShutDown(id) => self.on_stream(id, HeldStream::shut_down),
                Action::Drop(id, reason) => self.drop_stream(id, &reason),
                Action::Reply(connection, reply) => self.reply(connection, reply),
                Action::Disconnect(id) => {
                    if let Some(mut connection) = self.connections.remove(&id) {
                        // What the kernel has is received although the connection is closed.
                        let _ = connection.flush();
                    }
                }
                Action::StopAccepting => {
                    self.listener = None;
                    self.connections.retain(|_, connection| connection.is_greeted());
                }
                Action::Exit => self.is_done = true,
            }
        }
    }

    fn on_stream(&mut self, id: StreamId, action: impl FnOnce(&mut HeldStream) -> Result<(), String>) {
        if let Some(Err(error)) = self.streams.get_mut(&id).map(action) {
            self.handle(Event::Broken(id, error));
        }
    }

    fn write(&mut self, id: StreamId) {
        match self.streams.get_mut(&id).map(HeldStream::write) {
            Some(Ok(all)) => self.handle(Event::Written { id, all }),
            Some(Err(error)) => self.handle(Event::Broken(id, error)),
            None => {}
        }
    }

    fn drop_stream(&mut self, id: StreamId, reason: &Reason) {
        let Some(stream) = self.streams.remove(&id) else { return };
        match reason {
            Reason::Released | Reason::Replaced => {
                tracing::debug!(stream = stream.name(), %reason, "released a stream");
            }
            _ => tracing::info!(stream = stream.name(), %reason, "closed a stream"),
        }
    }

    fn reply(&mut self, connection: ConnectionId, reply: Reply) {
        let release = self.release.clone();
        let message = match reply {
            Reply::Welcome(names) => return self.welcome(connection, &names),
            Reply::Claimed(id) => return self.give(connection, id),
            Reply::Refused => {
                tracing::warn!("the agent speaks no common version of the protocol; all streams end");
                KeeperMessage::Refused { versions: VERSIONS, release }
            }
            Reply::Replaced => {
                tracing::info!("another agent replaces the connected one");
                KeeperMessage::Replaced
            }
            Reply::Leaving => KeeperMessage::Leaving,
            Reply::Held(name) => KeeperMessage::Held { name },
            Reply::Rejected(name) => {
                KeeperMessage::Rejected { name, reason: "the keeper holds too many streams".to_owned() }
            }
            Reply::Unknown(name) => KeeperMessage::Unknown { name },
        };
        self.send(connection, message, Vec::new());
    }

    fn welcome(&mut self, connection: ConnectionId, names: &[String]) {
        let version =
            self.connections.get(&connection).and_then(AgentConnection::version).unwrap_or_default();
        let release = self.release.clone();
        let pid = std::process::id();
        self.send(connection, KeeperMessage::Welcome { version, pid, release }, Vec::new());
        for names in names.chunks(MAX_NAMES) {
            let message = KeeperMessage::Unclaimed { names: names.to_vec(), more: true };
            self.send(connection, message, Vec::new());
        }
        self.send(connection, KeeperMessage::Unclaimed { names: Vec::new(), more: false }, Vec::new());
    }

    /// Hands a stream over to the agent.
    fn give(&mut self, connection: ConnectionId, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else { return };
        match stream.duplicates() {
            Ok(descriptors) => {
                tracing::info!(stream = stream.name(), "handed a stream over to the agent");
                let message = stream.claimed_message();
                self.send(connection, message, descriptors);
            }
            Err(error) => {
                let name = stream.name().to_owned();
                self.handle(Event::Broken(id, format!("cannot hand it over: {error}")));
                self.send(connection, KeeperMessage::Unknown { name }, Vec::new());
            }
        }
    }

    fn send(&mut self, id: ConnectionId, message: KeeperMessage, descriptors: Vec<std::os::fd::OwnedFd>) {
        if let Some(connection) = self.connections.get_mut(&id)
            && let Err(error) = connection.send(message, descriptors)
        {
            // A later turn reads its end, after all that it sent.
            tracing::debug!(%error, "cannot reply to the agent");
        }
    }
}
