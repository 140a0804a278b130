//! Counters of this process' requests to API servers, and whether servers can be reached.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::StatusCode;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::error_log::{self, TELL_EVERY};

/// Counters of a process.
#[derive(Debug)]
pub struct Stats {
    errors: AtomicU64,
    conflicts: AtomicU64,
    refused: AtomicU64,
    watches: Mutex<BTreeMap<&'static str, Watch>>,
    /// Servers that do not answer.
    silent: Mutex<BTreeMap<String, Silent>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    failures: u64,
    fails: bool,
}

#[derive(Clone, Copy, Debug)]
struct Silent {
    since: Instant,
    told: Instant,
}

/// The counters of this process.
pub fn stats() -> &'static Stats {
    static STATS: Stats = Stats {
        errors: AtomicU64::new(0),
        conflicts: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        watches: Mutex::new(BTreeMap::new()),
        silent: Mutex::new(BTreeMap::new()),
    };
    &STATS
}

impl Stats {
    /// A watch of a kind goes on.
    pub fn watch_succeeded(&self, kind: &'static str) {
        lock(&self.watches).entry(kind).or_default().fails = false;
    }

    /// A watch of a kind failed.
    pub fn watch_failed(&self, kind: &'static str) {
        let mut watches = lock(&self.watches);
        let watch = watches.entry(kind).or_default();
        watch.failures += 1;
        watch.fails = true;
    }

    /// A write was not sent, as this process does not lead any more.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A write was refused, as its object is another by now.
    pub(super) fn conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    /// A server answered.
    pub(super) fn answered(&self, server: &str, status: StatusCode) {
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(silent) = lock(&self.silent).remove(server) {
            let seconds = silent.since.elapsed().as_secs();
            tracing::info!(server, "the API server answers again after {seconds} s");
        }
    }

    /// A server did not answer: logged once for all that is asked of it, and again while it lasts.
    pub(super) fn unreachable(&self, server: &str, error: &(dyn Error + 'static)) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if error_log::is_not_leading(error) {
            return;
        }
        let now = Instant::now();
        let mut all = lock(&self.silent);
        let silent = all.get(server).copied();
        if silent.is_some_and(|silent| now - silent.told < TELL_EVERY) {
            return;
        }
        let since = silent.map_or(now, |silent| silent.since);
        all.insert(server.to_owned(), Silent { since, told: now });
        let error = error_log::chain(error);
        tracing::warn!("{error}; what is known stays in force, retrying");
    }

    /// Adds them to what is served.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let counters = [
            (
                "fairlead_k8s_request_errors_total",
                "Requests to the API server that had no answer, or one of 429 or 5xx",
                &self.errors,
            ),
            (
                "fairlead_k8s_write_conflicts_total",
                "Writes that the API server refused because the object had changed",
                &self.conflicts,
            ),
            (
                "fairlead_k8s_writes_not_leading_total",
                "Writes that were not sent because this process did not lead any more",
                &self.refused,
            ),
        ];
        for (name, help, value) in counters {
            let counter = IntCounter::new(name, help)?;
            counter.inc_by(value.load(Ordering::Relaxed));
            registry.register(Box::new(counter))?;
        }
        let failures = Opts::new("fairlead_k8s_watch_errors_total", "Watches that failed, by kind");
        let failures = IntCounterVec::new(failures, &["kind"])?;
        let up = Opts::new("fairlead_k8s_watch_up", "Whether the last watch of a kind works");
        let up = IntGaugeVec::new(up, &["kind"])?;
        for (kind, watch) in &*lock(&self.watches) {
            failures.with_label_values(&[*kind]).inc_by(watch.failures);
            up.with_label_values(&[*kind]).set((!watch.fails).into());
        }
        registry.register(Box::new(failures))?;
        registry.register(Box::new(up))
    }
}

/// A panic of another task while it held the lock leaves what it had counted.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
