//! The BGP speaker: reconciles sessions, sockets and tasks with the desired peers and routes.
//!
//! ```text
//!   Speaker::set ──► Listeners ──────────► incoming connections, by peer
//!        │                                      │
//!        └──────────► PeerTask, one per peer ◄──┘ ◄──► lb_bgp::session::Peer
//! ```
//!
//! A peer that does not read or answer blocks its own task only. With a keeper, an Established session
//! survives this process: the next one adopts it ([`lb_keeper`], `kept_session`).

mod address;
pub mod bfd;
mod connection;
pub mod desired;
mod hints;
mod identity;
mod kept_session;
mod listener;
mod peer_task;
mod service_routes;
mod socket;
pub mod status;
mod view;

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use lb_bgp::session::{PeerView, Routes, Shutdown};
use lb_bgp::value::StandardCommunity;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::bfd::{BfdKernel, BfdMonitor, BfdTargets, REPLY_TIMEOUT};
use self::desired::{DesiredPeer, DesiredPeers};
pub use self::identity::SpeakerIdentity;
use self::identity::hash;
use self::listener::{ExpectedPeer, Listeners};
use self::peer_task::{PeerCommand, PeerTask, TaskContext};
pub use self::service_routes::ServiceRoutes;
pub use self::status::BgpStatus;
pub use self::view::{KeeperView, PeerSnapshot, SpeakerView};
use lb_keeper::KeeperClient;
use lb_runtime::watchdog::{TASK_LIMIT, THREAD_LIMIT, Watchdog};

/// A handle to the speaker; clones share the same speaker.
#[derive(Clone, Debug)]
pub struct Speaker {
    start: Instant,
    /// Differs between nodes, so that they do not connect at the same time.
    seed: u64,
    tasks: Arc<Mutex<SpeakerTasks>>,
    command_senders: Arc<Mutex<CommandSenders>>,
    bfd: Arc<BfdMonitor>,
    keeper: Option<KeeperClient>,
}

/// Time in which a keeper that is stopped with this process says so.
const LEAVING: Duration = Duration::from_millis(500);
/// Interval of looking whether it has.
const LEAVING_EVERY: Duration = Duration::from_millis(50);

/// The recipients of BFD reports. Behind a lock of its own: BFD must not wait for a comparison of thousands
/// of routes.
type CommandSenders = BTreeMap<String, UnboundedSender<PeerCommand>>;

#[derive(Debug)]
struct SpeakerTasks {
    peers: BTreeMap<String, PeerTask>,
    /// Tasks of removed peers that are still closing.
    closing: Vec<JoinHandle<()>>,
    listeners: Listeners,
    watchdog: Watchdog,
    keeper: Option<KeeperClient>,
    /// Sessions of a former process that no peer continues have been, or will be, ended.
    is_settled: bool,
    /// No task is started any more.
    is_closed: bool,
}

impl Speaker {
    /// Returns a speaker without peers. It listens on `port` once it has peers; with 0 it never does. `node`
    /// is this node's name, `kernel` the maps in which the XDP program notes BFD packets, if loaded. `keeper`
    /// holds the sessions while no agent runs. `watchdog` monitors its loops.
    ///
    /// # Errors
    /// If the BFD thread cannot be spawned.
    pub fn new(
        port: u16,
        node: &str,
        kernel: Option<BfdKernel>,
        keeper: Option<KeeperClient>,
        watchdog: &Watchdog,
    ) -> io::Result<Self> {
        let seed = hash(0, node);
        let tasks = SpeakerTasks {
            peers: BTreeMap::new(),
            closing: Vec::new(),
            listeners: Listeners::new(port),
            watchdog: watchdog.clone(),
            keeper: keeper.clone(),
            is_settled: false,
            is_closed: false,
        };
        let command_senders = Arc::<Mutex<CommandSenders>>::default();
        let commands = Arc::clone(&command_senders);
        let bfd = BfdMonitor::start(seed, kernel, watchdog.heart("bfd", THREAD_LIMIT), move |peer, up| {
            forward_bfd_state(&commands, peer, up);
        })?;
        let tasks = Arc::new(Mutex::new(tasks));
        Ok(Self { start: Instant::now(), seed, tasks, command_senders, bfd: Arc::new(bfd), keeper })
    }

    /// Sets all peers and their routes. Sessions are started, changed and closed accordingly: new routes
    /// cause UPDATEs, a new transport causes a new session. Must be called inside a runtime.
    pub fn set(&self, desired: DesiredPeers) {
        let mut tasks = self.tasks();
        if tasks.is_closed {
            return;
        }
        tasks.close_removed(&desired);
        let targets = bfd_targets(&desired);
        for (name, peer) in desired {
            let seed = hash(self.seed, &name);
            tasks.set(name, peer, seed, self.start);
        }
        let expected = tasks.peers.values().map(ExpectedPeer::from).collect();
        tasks.listeners.set(expected);
        let command_senders: CommandSenders =
            tasks.peers.iter().map(|(name, task)| (name.clone(), task.commands.clone())).collect();
        *self.command_senders.lock().unwrap_or_else(PoisonError::into_inner) = command_senders;
        self.bfd.set(targets);
    }

    /// Ends the sessions of a former process that no peer continues, once the tasks of all current peers have
    /// taken theirs over and `patience` is over. No effect but the first time. Must be called inside a
    /// runtime.
    pub fn settle(&self, patience: Duration) {
        let mut tasks = self.tasks();
        let Some(keeper) = self.keeper.clone().filter(|_| !tasks.is_settled) else { return };
        tasks.is_settled = true;
        let claims: Vec<_> = tasks.peers.values().map(|task| task.has_claimed.clone()).collect();
        tokio::spawn(async move {
            for mut has_claimed in claims {
                // A task that has ended needs no session.
                let _ = has_claimed.wait_for(|has_claimed| *has_claimed).await;
            }
            tokio::time::sleep(patience).await;
            keeper.dismiss_unclaimed();
        });
    }

    /// Returns a snapshot.
    pub async fn view(&self) -> SpeakerView {
        let (pending, unknown, failures) = {
            let tasks = self.tasks();
            let ask = |(name, task): (&String, &PeerTask)| {
                let (reply, reply_rx) = oneshot::channel();
                task.send(PeerCommand::View(reply));
                (name.clone(), task.desired.borrow().clone(), reply_rx)
            };
            let pending: Vec<_> = tasks.peers.iter().map(ask).collect();
            (pending, tasks.listeners.unknown(), tasks.listeners.failures())
        };
        let answers = pending.into_iter().map(async |(name, peer, reply_rx)| {
            let view = tokio::time::timeout(REPLY_TIMEOUT, reply_rx).await.ok()?.ok()?;
            Some(PeerSnapshot { name, desired: peer, view })
        });
        let peers = join_all(answers).await.into_iter().flatten().collect();
        let bfd = self.bfd.view().await;
        let keeper = self.keeper.as_ref().map(|keeper| KeeperView::from(keeper.status()));
        SpeakerView { at: self.start.elapsed(), peers, bfd, unknown, failures, keeper }
    }

    /// Leaves all sessions to a successor without packet loss. The keeper holds them if it can; otherwise
    /// they are closed. Peers that would drop our routes at once receive GRACEFUL_SHUTDOWN (RFC 8326) and
    /// have `grace` to react; those that keep them for a successor (RFC 4724) get no NOTIFICATION.
    pub async fn hand_over(&self, grace: Duration) {
        if self.is_keeping().await {
            tracing::info!("leaving the BGP sessions to the keeper");
            self.end_all(|| PeerCommand::Leave).await;
            return;
        }
        self.close_all(grace, drops_routes, &Shutdown::Replacement).await;
    }

    /// Closes all sessions without a successor: routers must not keep routes to a node that goes away,
    /// whatever was negotiated. All receive GRACEFUL_SHUTDOWN, then an administrative shutdown.
    pub async fn shut_down(&self, grace: Duration) {
        let text = "the node has been drained".to_owned();
        self.close_all(grace, |_| true, &Shutdown::Administrative { text }).await;
        // Otherwise the XDP program would keep the BFD sessions up. The view comes after the AdminDown
        // packets.
        self.bfd.set(BfdTargets::new());
        self.bfd.view().await;
    }

    /// Returns whether the keeper stays. One that is stopped with this process may not know it yet.
    async fn is_keeping(&self) -> bool {
        let Some(keeper) = &self.keeper else { return false };
        let start = Instant::now();
        while keeper.is_keeping() {
            if start.elapsed() >= LEAVING {
                return true;
            }
            tokio::time::sleep(LEAVING_EVERY).await;
        }
        false
    }

    /// Leaves all sessions without a word to the peers: another process takes them over.
    pub async fn retire(&self) {
        self.bfd.leave();
        self.end_all(|| PeerCommand::Retire).await;
    }

    /// Waits until another agent has taken the sessions over; for ever without a keeper.
    pub async fn replaced(&self) {
        match &self.keeper {
            Some(keeper) => keeper.replaced().await,
            None => pending().await,
        }
    }

    /// Ends all tasks with this command.
    async fn end_all(&self, command: impl Fn() -> PeerCommand) {
        let leaving: Vec<_> = {
            let mut tasks = self.tasks();
            tasks.is_closed = true;
            tasks.listeners.set(Vec::new());
            let peers = std::mem::take(&mut tasks.peers);
            let closing = std::mem::take(&mut tasks.closing);
            closing.into_iter().chain(peers.into_values().map(|task| task.end(command()))).collect()
        };
        join_all(leaving).await;
    }

    async fn close_all(&self, grace: Duration, is_warned: impl Fn(&PeerView) -> bool, shutdown: &Shutdown) {
        let view = self.view().await;
        let pending: Vec<&str> =
            view.peers.iter().filter(|it| is_warned(&it.view)).map(|it| it.name.as_str()).collect();
        self.tasks().is_closed = true;
        if !grace.is_zero() && self.advertise_graceful_shutdown(&pending) {
            tracing::info!("advertised GRACEFUL_SHUTDOWN; closing the sessions in {} s", grace.as_secs_f64());
            tokio::time::sleep(grace).await;
        }
        let closing = {
            let mut tasks = self.tasks();
            tasks.listeners.set(Vec::new());
            let peers = std::mem::take(&mut tasks.peers);
            let mut closing = std::mem::take(&mut tasks.closing);
            closing.extend(peers.into_values().map(|task| task.close(shutdown.clone())));
            closing
        };
        join_all(closing).await;
    }

    /// Returns whether any route has changed.
    fn advertise_graceful_shutdown(&self, peers: &[&str]) -> bool {
        let tasks = self.tasks();
        let mut is_changed = false;
        for task in peers.iter().filter_map(|name| tasks.peers.get(*name)) {
            is_changed |= task.desired.send_if_modified(|peer| match &peer.routes {
                Some(routes) if !routes.is_empty() => {
                    peer.routes = Some(Arc::new(with_graceful_shutdown(routes)));
                    true
                }
                _ => false,
            });
        }
        is_changed
    }

    fn tasks(&self) -> MutexGuard<'_, SpeakerTasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpeakerTasks {
    fn close_removed(&mut self, desired: &DesiredPeers) {
        self.closing.retain(|task| !task.is_finished());
        let removed: Vec<String> =
            self.peers.keys().filter(|name| !desired.contains_key(*name)).cloned().collect();
        let removed = removed.iter().filter_map(|name| self.peers.remove(name));
        self.closing.extend(removed.map(|task| task.close(Shutdown::Deconfigured)));
    }

    fn set(&mut self, name: String, peer: DesiredPeer, seed: u64, start: Instant) {
        if let Some(task) = self.peers.get(&name)
            && task.desired.borrow().transport == peer.transport
        {
            task.desired.send_if_modified(|desired| {
                let differs = *desired != peer;
                *desired = peer;
                differs
            });
            return;
        }
        let former = self.peers.remove(&name);
        let closed = former.map(|former| former.close(Shutdown::Reset { text: String::new() }));
        let heart = self.watchdog.heart(format!("BGP peer {name}"), TASK_LIMIT);
        let context = TaskContext { seed, start, heart, keeper: self.keeper.clone(), after: closed };
        let task = PeerTask::start(name.clone(), peer, context);
        self.peers.insert(name, task);
    }
}

impl PeerTask {
    fn send(&self, command: PeerCommand) {
        // The task ends only on command.
        let _ = self.commands.send(command);
    }

    fn close(self, shutdown: Shutdown) -> JoinHandle<()> {
        self.end(PeerCommand::End(shutdown))
    }

    fn end(self, command: PeerCommand) -> JoinHandle<()> {
        self.send(command);
        self.task
    }
}

impl From<&PeerTask> for ExpectedPeer {
    fn from(task: &PeerTask) -> Self {
        let transport = task.desired.borrow().transport.clone();
        Self { transport, connections: task.connections.clone() }
    }
}

/// Forwards a BFD state to the peer's task.
fn forward_bfd_state(command_senders: &Mutex<CommandSenders>, peer: &str, up: bool) {
    let command_senders = command_senders.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(commands) = command_senders.get(peer) {
        // The task ends only on command.
        let _ = commands.send(PeerCommand::Bfd(up));
    }
}

fn bfd_targets(desired: &DesiredPeers) -> BfdTargets {
    let targets = desired.iter().filter_map(|(name, peer)| Some((name.clone(), peer.bfd_target()?)));
    targets.collect()
}

/// Returns whether the peer drops our routes when the session closes.
fn drops_routes(view: &PeerView) -> bool {
    view.negotiated.as_ref().is_some_and(|negotiated| negotiated.graceful_restart.is_none())
}

fn with_graceful_shutdown(routes: &Routes) -> Routes {
    let mut routes = routes.clone();
    for attributes in routes.values_mut() {
        attributes.communities.insert(StandardCommunity::GRACEFUL_SHUTDOWN);
    }
    routes
}

#[cfg(test)]
mod tests;
