//! The BGP speaker: what all neighbours are and what each shall know goes in, whole; sessions, sockets and
//! tasks follow.
//!
//! ```text
//!   Speaker::set ──► Listeners ──────────► connections, by whom they come from
//!        │                                      │
//!        └──────────► Driver, a task for each neighbour ◄──► lb_bgp::session::Peer
//! ```
//!
//! A neighbour that does not read, or does not answer, stops its own task and no other.

mod announced;
pub mod bfd;
mod connection;
mod driver;
mod hints;
mod identity;
mod listener;
mod socket;
pub mod status;
pub mod wanted;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use lb_bgp::session::{PeerView, Routes, Shutdown};
use lb_bgp::value::Community;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use self::announced::Announced;
use self::bfd::{Monitor, Watch};
use self::driver::{Command, Driven};
pub use self::identity::Identity;
use self::identity::hash;
use self::listener::{Expected, Listeners};
pub use self::status::{BgpStatus, SpeakerView, Viewed};
use self::wanted::{Neighbour, Wanted};
use lb_dataplane::bfd::BfdMaps;
use lb_runtime::watchdog::{TASK_LIMIT, THREAD_LIMIT, Watchdog};

/// A driver that is asked answers at once; one that ends need not.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// A handle to the speaker; clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Speaker {
    start: Instant,
    /// Of this node: no two of them shall come at once.
    seed: u64,
    running: Arc<Mutex<Running>>,
    addressees: Arc<Mutex<Addressees>>,
    monitor: Arc<Monitor>,
}

/// Where BFD's reports go. Apart from the rest: BFD must not wait for whoever compares thousands of routes.
type Addressees = BTreeMap<String, UnboundedSender<Command>>;

#[derive(Debug)]
struct Running {
    neighbours: BTreeMap<String, Driven>,
    /// Of neighbours that are gone: they still say good-bye.
    ending: Vec<JoinHandle<()>>,
    listeners: Listeners,
    watchdog: Watchdog,
    /// Nothing is to be started any more.
    leaving: bool,
}

impl Speaker {
    /// A speaker without neighbours. It listens on `port` once it has some; with 0 it never does. `node` is
    /// this node's name, and `noted` is where
    /// the program in the kernel notes BFD packets, if it does. `watchdog` watches its loops.
    ///
    /// # Errors
    /// When the system gives no thread for BFD.
    pub fn new(port: u16, node: &str, noted: Option<BfdMaps>, watchdog: &Watchdog) -> io::Result<Self> {
        let seed = hash(0, node);
        let running = Running {
            neighbours: BTreeMap::new(),
            ending: Vec::new(),
            listeners: Listeners::new(port),
            watchdog: watchdog.clone(),
            leaving: false,
        };
        let addressees = Arc::<Mutex<Addressees>>::default();
        let told = Arc::clone(&addressees);
        let monitor =
            Monitor::start(seed, noted, watchdog.heart("bfd", THREAD_LIMIT), move |neighbour, up| {
                report(&told, neighbour, up);
            })?;
        let running = Arc::new(Mutex::new(running));
        Ok(Self { start: Instant::now(), seed, running, addressees, monitor: Arc::new(monitor) })
    }

    /// All neighbours, and what each shall know. Sessions start, change and end as that asks for: other
    /// routes cost an UPDATE, another transport another session. Must be called inside a runtime.
    pub fn set(&self, wanted: Wanted) {
        let mut running = self.running();
        if running.leaving {
            return;
        }
        running.end_all_but(&wanted);
        let watch = watch(&wanted);
        for (name, neighbour) in wanted {
            let seed = hash(self.seed, &name);
            running.set(name, neighbour, seed, self.start);
        }
        let expected = running.neighbours.values().map(Expected::from).collect();
        running.listeners.set(expected);
        let addressees: Addressees =
            running.neighbours.iter().map(|(name, driven)| (name.clone(), driven.commands.clone())).collect();
        *self.addressees.lock().unwrap_or_else(PoisonError::into_inner) = addressees;
        self.monitor.set(watch);
    }

    /// All neighbours as they are now.
    pub async fn view(&self) -> SpeakerView {
        let (asked, unknown, failures) = {
            let running = self.running();
            let ask = |(name, driven): (&String, &Driven)| {
                let (answer, answered) = oneshot::channel();
                driven.tell(Command::View(answer));
                (name.clone(), driven.wish.borrow().clone(), answered)
            };
            let asked: Vec<_> = running.neighbours.iter().map(ask).collect();
            (asked, running.listeners.unknown(), running.listeners.failures())
        };
        let answers = asked.into_iter().map(async |(name, neighbour, answered)| {
            let view = tokio::time::timeout(ANSWER_WITHIN, answered).await.ok()?.ok()?;
            Some(Viewed { name, neighbour, view })
        });
        let neighbours = join_all(answers).await.into_iter().flatten().collect();
        let bfd = self.monitor.view().await;
        SpeakerView { at: self.start.elapsed(), neighbours, bfd, unknown, failures }
    }

    /// Ends all sessions for good, so that no packet is lost: neighbours that would forget our routes at once
    /// are asked to prefer others and given `grace` to do so (RFC 8326); those that keep them for a
    /// successor (RFC 4724) are left without a word.
    pub async fn leave(&self, grace: Duration) {
        self.end(grace, forgets, &Shutdown::Replacement).await;
    }

    /// Ends all sessions for good, and nobody takes over: routers must not keep routes that lead to a machine that
    /// is going down, whatever was agreed. They are all asked to prefer others, and told good-bye.
    pub async fn depart(&self, grace: Duration) {
        let text = "the node has been drained".to_owned();
        self.end(grace, |_| true, &Shutdown::Administrative { text }).await;
    }

    async fn end(&self, grace: Duration, is_asked: impl Fn(&PeerView) -> bool, shutdown: &Shutdown) {
        let view = self.view().await;
        let asked: Vec<&str> =
            view.neighbours.iter().filter(|it| is_asked(&it.view)).map(|it| it.name.as_str()).collect();
        self.running().leaving = true;
        if !grace.is_zero() && self.ask_to_prefer_others(&asked) {
            tracing::info!(seconds = grace.as_secs_f64(), "routers are asked to prefer other nodes");
            tokio::time::sleep(grace).await;
        }
        let ending = {
            let mut running = self.running();
            running.listeners.set(Vec::new());
            let neighbours = std::mem::take(&mut running.neighbours);
            let mut ending = std::mem::take(&mut running.ending);
            ending.extend(neighbours.into_values().map(|driven| driven.end(shutdown.clone())));
            ending
        };
        join_all(ending).await;
    }

    /// True where there was something to be said.
    fn ask_to_prefer_others(&self, neighbours: &[&str]) -> bool {
        let running = self.running();
        let mut said = false;
        for driven in neighbours.iter().filter_map(|name| running.neighbours.get(*name)) {
            said |= driven.wish.send_if_modified(|neighbour| match &neighbour.routes {
                Some(routes) if !routes.is_empty() => {
                    neighbour.routes = Some(Arc::new(less_preferred(routes)));
                    true
                }
                _ => false,
            });
        }
        said
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn end_all_but(&mut self, wanted: &Wanted) {
        self.ending.retain(|task| !task.is_finished());
        let gone: Vec<String> =
            self.neighbours.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        let gone = gone.iter().filter_map(|name| self.neighbours.remove(name));
        self.ending.extend(gone.map(|driven| driven.end(Shutdown::Deconfigured)));
    }

    fn set(&mut self, name: String, neighbour: Neighbour, seed: u64, start: Instant) {
        if let Some(driven) = self.neighbours.get(&name)
            && driven.wish.borrow().transport == neighbour.transport
        {
            driven.wish.send_if_modified(|wish| {
                let differs = *wish != neighbour;
                *wish = neighbour;
                differs
            });
            return;
        }
        let former = self.neighbours.remove(&name);
        let ended = former.map(|former| former.end(Shutdown::Reset { text: String::new() }));
        let heart = self.watchdog.heart(format!("BGP peer {name}"), TASK_LIMIT);
        let driven = Driven::start(name.clone(), neighbour, seed, start, heart, ended);
        self.neighbours.insert(name, driven);
    }
}

impl Driven {
    fn tell(&self, command: Command) {
        // A driver ends only when it is told to.
        let _ = self.commands.send(command);
    }

    fn end(self, shutdown: Shutdown) -> JoinHandle<()> {
        self.tell(Command::End(shutdown));
        self.task
    }
}

impl From<&Driven> for Expected {
    fn from(driven: &Driven) -> Self {
        let transport = driven.wish.borrow().transport.clone();
        Self { transport, connections: driven.connections.clone() }
    }
}

/// What BFD says of the way to a neighbour.
fn report(addressees: &Mutex<Addressees>, neighbour: &str, up: bool) {
    let addressees = addressees.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(commands) = addressees.get(neighbour) {
        // A driver ends only when it is told to.
        let _ = commands.send(Command::Bfd(up));
    }
}

fn watch(wanted: &Wanted) -> Watch {
    let watched = wanted.iter().filter_map(|(name, neighbour)| Some((name.clone(), neighbour.watched()?)));
    watched.collect()
}

/// Whether the end of the session is the end of our routes.
fn forgets(view: &PeerView) -> bool {
    view.negotiated.as_ref().is_some_and(|negotiated| negotiated.graceful_restart.is_none())
}

fn less_preferred(routes: &Routes) -> Routes {
    let mut routes = routes.clone();
    for attributes in routes.values_mut() {
        attributes.communities.insert(Community::GRACEFUL_SHUTDOWN);
    }
    routes
}

#[cfg(test)]
mod tests;
