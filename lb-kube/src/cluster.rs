//! Objects out of the API server.
//!
//! Every kind is watched by a task of its own, but for Secrets, which are got by their names. While the server does not answer, what was last seen stays; an
//! object that has become wrong stays as it was last right.

mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::Client;
use kube::api::{Api, ApiResource};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, InitialListStrategy, watcher};
use lb_api::kind::ObjectKind;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::secrets::Secrets;
use super::client::error_log::Log;
use super::client::stats;
use super::raw_object::Written;
use crate::resource::{api, resource};
use crate::snapshot::{self, Snapshot};

/// What configures the load balancer, and the Nodes on which it may contradict itself. The Secrets that it names are
/// not among it: they are the agents' to read, and not the controller's.
pub const CONFIGURATION: [ObjectKind; 7] = [
    ObjectKind::NODE,
    ObjectKind::IP_ADDRESS_POOL,
    ObjectKind::L2_ADVERTISEMENT,
    ObjectKind::BGP_ADVERTISEMENT,
    ObjectKind::BGP_PEER,
    ObjectKind::BFD_PROFILE,
    ObjectKind::COMMUNITY,
];

/// The watched kinds of a cluster.
#[derive(Debug)]
pub struct Cluster {
    seen: Arc<Mutex<Seen>>,
    changes: watch::Receiver<u64>,
    /// Ends with this.
    _tasks: JoinSet<()>,
}

/// What was seen, by kind.
#[derive(Debug, Default)]
struct Seen {
    kinds: BTreeMap<&'static str, Kind>,
}

/// What was seen of a kind.
#[derive(Debug, Default)]
struct Kind {
    /// By namespace and name.
    entries: BTreeMap<Key, Entry>,
    /// What has come of a list that is not over yet: it replaces the entries when it is.
    listing: BTreeMap<Key, Entry>,
    /// Whether a list has been over at least once.
    synced: bool,
}

type Key = (String, String);

/// What was seen of an object.
#[derive(Clone, Debug, Default, PartialEq)]
struct Entry {
    /// As it was last right.
    object: Option<Arc<Sourced<Object>>>,
    problems: Vec<Problem>,
}

impl Cluster {
    /// Starts to watch; of Secrets, those that BGPPeers name, which have to be among the kinds. `namespace` is where objects of `metallb.io` and Secrets count, those of other kinds
    /// count everywhere.
    pub fn watch(client: &Client, kinds: &[ObjectKind], namespace: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (changed, changes) = watch::channel(0);
        let changed = Arc::new(changed);
        let mut tasks = JoinSet::new();
        for kind in kinds {
            lock(&seen).kinds.insert(kind.name, Kind::default());
            let resource = resource(*kind);
            let api: Api<Written> = api(*kind, client.clone(), namespace);
            if *kind == ObjectKind::SECRET {
                let secrets = Secrets {
                    api,
                    resource,
                    namespace: namespace.to_owned(),
                    seen: Arc::clone(&seen),
                    changed: Arc::clone(&changed),
                    denied: BTreeSet::new(),
                    log: Log::new("the password stays as it was"),
                };
                tasks.spawn(secrets.follow());
                continue;
            }
            tasks.spawn(follow(*kind, api, resource, Arc::clone(&seen), Arc::clone(&changed)));
        }
        Self { seen, changes, _tasks: tasks }
    }

    /// Waits for a change of any object.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // Its senders live as long as the tasks, which end with this.
            std::future::pending::<()>().await;
        }
    }

    /// What has been seen; `None` until every kind has been listed once: before that, something that is not
    /// there may only not have come yet.
    pub fn read(&self) -> Option<Snapshot> {
        let seen = lock(&self.seen);
        if !seen.kinds.values().all(|kind| kind.synced) {
            return None;
        }
        let mut snapshot = Snapshot::default();
        for entry in seen.kinds.values().flat_map(|kind| kind.entries.values()) {
            snapshot.objects.extend(entry.object.clone());
            snapshot.problems.extend(entry.problems.iter().cloned());
        }
        Some(snapshot)
    }

    /// The kinds that have not been listed yet.
    pub fn missing(&self) -> Vec<&'static str> {
        let seen = lock(&self.seen);
        seen.kinds.iter().filter(|(_, kind)| !kind.synced).map(|(name, _)| *name).collect()
    }
}

/// A panic of another task while it held the lock leaves what it had seen, which is what counts.
fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a watch lasts before it is begun anew.
pub(super) const WATCH_SECONDS: u32 = 290;
/// A kind that is not defined is asked for again after the first of these times; after the second where it was
/// defined before: a server that has just started does not know all kinds yet.
const ASKED_AGAIN: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(2)];

async fn follow(
    watched: ObjectKind,
    api: Api<Written>,
    resource: ApiResource,
    seen: Arc<Mutex<Seen>>,
    changed: Arc<watch::Sender<u64>>,
) {
    // Objects that come one by one are read one by one: a list is all of them at once.
    let config = watcher::Config::default().timeout(WATCH_SECONDS).streaming_lists();
    let mut strategy = InitialListStrategy::StreamingList;
    let mut events = watcher(api.clone(), config.clone()).backoff(Patience::default()).boxed();
    let mut log = Log::new("what was seen stays in force");
    let mut was_defined = false;
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                // A list that begins has not been answered yet.
                if !matches!(event, Event::Init) {
                    log.succeeded();
                    was_defined = true;
                    stats().watch_succeeded(watched.name);
                }
                if lock(&seen).kinds.entry(watched.name).or_default().handle(event, &resource) {
                    changed.send_modify(|version| *version += 1);
                }
            }
            // The stream of a watcher has no end.
            Ok(None) => return,
            Err(error) if strategy == InitialListStrategy::StreamingList && cannot_stream(&error) => {
                tracing::debug!(kind = watched.name, "the server does not stream lists");
                strategy = InitialListStrategy::ListWatch;
                let config = watcher::Config { initial_list_strategy: strategy.clone(), ..config.clone() };
                events = watcher(api.clone(), config).backoff(Patience::default()).boxed();
            }
            Err(error) => {
                stats().watch_failed(watched.name);
                let is_undefined = is_undefined(&error);
                if is_undefined && lock(&seen).kinds.entry(watched.name).or_default().handle_undefined() {
                    tracing::warn!(
                        kind = watched.name,
                        "the cluster does not define this kind: it counts as if there were none"
                    );
                    changed.send_modify(|version| *version += 1);
                }
                log.watch_failed(watched.name, &error);
                if is_undefined {
                    tokio::time::sleep(ASKED_AGAIN[usize::from(was_defined)]).await;
                }
            }
        }
    }
}

/// How long to wait before a server is asked again that did not answer: as the library has it, but nobody waits
/// longer than some seconds for what has changed meanwhile. The first waits, which are random, keep the nodes of a
/// cluster from coming back in one moment.
#[derive(Default)]
pub(super) struct Patience(watcher::DefaultBackoff);

/// The longest wait.
const PATIENCE: Duration = Duration::from_secs(5);

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next()?.min(PATIENCE))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// The server answers, and does not know the kind.
pub(super) fn is_undefined(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(source) | watcher::Error::WatchStartFailed(source)) = error else {
        return false;
    };
    matches!(source, kube::Error::Api(status) if status.code == 404)
}

/// The server says that it does not take such a request: one before Kubernetes 1.32, or told not to.
fn cannot_stream(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(source) = error else { return false };
    matches!(source, kube::Error::Api(status) if matches!(status.code, 400 | 422))
}

impl Kind {
    /// A kind that is not defined has no objects. Where some have been seen, they stay: a definition that is
    /// taken away for a moment must not take everything away. True the first time.
    fn handle_undefined(&mut self) -> bool {
        !std::mem::replace(&mut self.synced, true)
    }

    /// Takes an event in; true where what has been seen is different after it.
    fn handle(&mut self, event: Event<Written>, resource: &ApiResource) -> bool {
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(written) => {
                let key = written.key();
                let entry = self.entry(&key, &written, resource);
                self.listing.insert(key, entry);
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                let differs = !self.synced || self.entries != listed;
                self.entries = listed;
                self.synced = true;
                differs
            }
            Event::Apply(written) => self.apply(&written, resource),
            Event::Delete(written) => self.entries.remove(&written.key()).is_some(),
        }
    }

    /// Takes in an object as it is now; true where it is different from what has been seen.
    fn apply(&mut self, written: &Written, resource: &ApiResource) -> bool {
        let key = written.key();
        let entry = self.entry(&key, written, resource);
        let differs = self.entries.get(&key) != Some(&entry);
        self.entries.insert(key, entry);
        differs
    }

    /// What is seen of an object now. One that says what it said before is the same value.
    fn entry(&self, key: &Key, written: &Written, resource: &ApiResource) -> Entry {
        let (read, mut problems) = written.read(resource);
        let before = self.entries.get(key).and_then(|entry| entry.object.clone());
        let object = match (read, before) {
            (Some(read), Some(before)) if *before == read => Some(before),
            (Some(read), _) => Some(Arc::new(read)),
            (None, before) => {
                problems.extend(before.as_deref().and_then(snapshot::staying));
                before
            }
        };
        Entry { object, problems }
    }
}
