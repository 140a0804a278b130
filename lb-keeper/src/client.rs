//! The agent's side: a handle, and a thread that connects to the keeper and receives from it.
//!
//! Messages are sent by the caller's thread if there is room, so that what was held before the agent died is
//! held, even if the thread never ran again.

mod connection;
mod dismiss;
mod spawn;
mod state;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

pub use self::dismiss::dismiss_all;
pub use self::spawn::SpawnOptions;
use self::state::{ClientState, Phase};
use super::message::AgentMessage;
use super::stream::Stream;

/// Time to wait for the first connection, and for the reply to a claim.
const PATIENCE: Duration = Duration::from_secs(2);

/// Options of a client.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// How to start a keeper if none listens; `None`: wait until one does.
    pub spawn: Option<SpawnOptions>,
    /// The release of this program, for the keeper's log.
    pub release: String,
}

/// The state of the connection to the keeper.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KeeperStatus {
    /// Whether a keeper is connected.
    pub connected: bool,
    /// Whether another agent has taken over. The client does not connect again.
    pub replaced: bool,
    /// Whether the keeper stops or has stopped, and no other one is connected.
    pub leaving: bool,
    /// Process ID of the keeper, in the keeper's PID namespace.
    pub pid: Option<u32>,
    /// Release of the keeper.
    pub version: Option<String>,
    /// Number of streams that the keeper has confirmed to hold for this agent.
    pub held: usize,
    /// The last error.
    pub last_error: Option<String>,
}

/// A handle to the client; clones share the same client. It disconnects when the last one is dropped, as if
/// the agent had died.
#[derive(Clone, Debug)]
pub struct KeeperClient(Arc<ClientHandle>);

#[derive(Debug)]
struct ClientHandle {
    shared: Arc<Shared>,
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        self.shared.lock().stop();
        self.shared.notify();
    }
}

/// What the handle and the thread share.
#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    options: ClientOptions,
    state: Mutex<ClientState>,
    /// Wakes the thread.
    wake: UnixStream,
    /// Counts changes of the state, for waiting tasks.
    changes: watch::Sender<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ClientState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread and waiting tasks.
    fn notify(&self) {
        // A full pipe wakes it as well.
        let _ = io::Write::write(&mut &self.wake, &[0]);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl KeeperClient {
    /// Starts the thread that connects to the keeper on `socket`, and again whenever the connection is lost.
    ///
    /// # Errors
    /// If the kernel gives no descriptors or no thread.
    pub fn start(socket: PathBuf, options: ClientOptions) -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            socket,
            options,
            state: Mutex::new(ClientState::default()),
            wake,
            changes: watch::Sender::new(0),
        });
        let client = Self(Arc::new(ClientHandle { shared: Arc::clone(&shared) }));
        std::thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || connection::run(&shared, &woken))?;
        Ok(client)
    }

    /// Returns the names of streams that the keeper held when the agent connected, and that are not claimed
    /// or held since. Waits up to two seconds for the first connection.
    pub async fn names(&self) -> BTreeSet<String> {
        self.first_connection().await;
        self.0.shared.lock().unclaimed().clone()
    }

    /// Takes a stream over. From then on the keeper writes nothing to it. What is left to write is
    /// [`Journal::unsent`](crate::journal::Journal::unsent). `None` if there is no stream of this name. The
    /// client holds the stream again on later connections, as after [`hold`](Self::hold).
    pub async fn claim(&self, name: &str) -> Option<Stream> {
        self.first_connection().await;
        let (sender, receiver) = oneshot::channel();
        if !self.0.shared.lock().claim(name, sender) {
            return None;
        }
        self.0.shared.notify();
        let mut claim = PendingClaim { shared: &self.0.shared, name, is_answered: false };
        let reply = timeout(PATIENCE, receiver).await.ok()?.ok()?;
        claim.is_answered = true;
        reply
    }

    /// Makes the keeper hold a stream, in place of the one of that name. The stream's descriptors are
    /// duplicates of the caller's. Returns whether the message is in the keeper's hands already; otherwise it
    /// follows as soon as there is room, or when a keeper connects.
    pub fn hold(&self, stream: Stream) -> bool {
        let is_sent = self.0.shared.lock().hold(stream);
        self.0.shared.notify();
        is_sent
    }

    /// As [`hold`](Self::hold), if that can be done at once; returns false, and changes nothing, if not.
    ///
    /// Use it to replace the journal of a stream: between a queued message and its delivery, the keeper would
    /// have a journal without the octets that the agent appends to the new one.
    pub fn try_hold(&self, stream: Stream) -> bool {
        let is_sent = self.0.shared.lock().try_hold(stream);
        self.0.shared.notify();
        is_sent
    }

    /// Makes the keeper drop its duplicates of a stream that the agent has closed.
    pub fn release(&self, name: &str) {
        self.0.shared.lock().release(name);
        self.0.shared.notify();
    }

    /// Makes the keeper end the streams of a former agent that this one has not claimed, now and whenever it
    /// connects again.
    pub fn dismiss_unclaimed(&self) {
        self.0.shared.lock().dismiss_unclaimed();
        self.0.shared.notify();
    }

    /// Returns whether the keeper continues all streams that are held, if this process dies now.
    pub fn is_keeping(&self) -> bool {
        self.0.shared.lock().is_keeping()
    }

    /// Waits until another agent has taken over. Then this one must drop its streams: neither write to them
    /// nor shut them down.
    pub async fn replaced(&self) {
        self.wait_until(|state| state.phase() == Phase::Replaced).await;
    }

    /// Returns the state of the connection.
    pub fn status(&self) -> KeeperStatus {
        self.0.shared.lock().status()
    }

    async fn first_connection(&self) {
        // Without a keeper, there is nothing to claim.
        let _ = timeout(PATIENCE, self.wait_until(|state| state.phase() != Phase::Connecting)).await;
    }

    async fn wait_until(&self, is_so: impl Fn(&ClientState) -> bool) {
        let mut changes = self.0.shared.changes.subscribe();
        while !is_so(&self.0.shared.lock()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// A claim whose task may give up at any time: then no task continues the stream, and it is dismissed.
struct PendingClaim<'a> {
    shared: &'a Shared,
    name: &'a str,
    is_answered: bool,
}

impl Drop for PendingClaim<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.shared.lock().abandon_claim(self.name);
            self.shared.notify();
        }
    }
}

/// A message with the descriptors of a stream.
#[derive(Debug)]
struct Outgoing {
    message: AgentMessage,
    stream: Option<Arc<Stream>>,
}
