//! Statistics of this process's requests to API servers, and which servers are unreachable.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::StatusCode;
use lb_runtime::metrics::{MetricSink, MetricType, register};
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use super::error_log::{self, LOG_INTERVAL};

/// Request statistics of the process.
#[derive(Debug)]
pub struct ClientStats {
    errors: AtomicU64,
    conflicts: AtomicU64,
    not_leading: AtomicU64,
    watches: Mutex<BTreeMap<&'static str, WatchStats>>,
    /// Servers that do not answer.
    outages: Mutex<BTreeMap<String, Outage>>,
}

#[derive(Clone, Debug, Default)]
struct WatchStats {
    failures: u64,
    is_failing: bool,
    /// The kind's plural, by which requests name it; known once a watch has failed.
    plural: String,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    since: Instant,
    logged_at: Instant,
}

/// Returns the statistics of this process.
pub fn stats() -> &'static ClientStats {
    static STATS: ClientStats = ClientStats {
        errors: AtomicU64::new(0),
        conflicts: AtomicU64::new(0),
        not_leading: AtomicU64::new(0),
        watches: Mutex::new(BTreeMap::new()),
        outages: Mutex::new(BTreeMap::new()),
    };
    &STATS
}

impl ClientStats {
    /// Counts a successful event of a watch.
    pub(crate) fn watch_succeeded(&self, kind: &'static str) {
        lock(&self.watches).entry(kind).or_default().is_failing = false;
    }

    /// Counts a failed watch.
    pub(crate) fn watch_failed(&self, kind: &'static str, plural: &str) {
        let mut watches = lock(&self.watches);
        let watch = watches.entry(kind).or_default();
        watch.failures += 1;
        watch.is_failing = true;
        plural.clone_into(&mut watch.plural);
    }

    /// Handles that the server has accepted a watch. A resumed watch has no event until an object changes,
    /// which may be never.
    pub(super) fn watch_started(&self, plural: &str) {
        lock(&self.watches)
            .values_mut()
            .filter(|it| it.plural == plural)
            .for_each(|it| it.is_failing = false);
    }

    /// Counts a write that was not sent because this process no longer leads.
    pub(super) fn not_leading(&self) {
        self.not_leading.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a write that the server rejected because the object had changed.
    pub(super) fn conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    /// Handles a response of a server.
    pub(super) fn answered(&self, server: &str, status: StatusCode) {
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(outage) = lock(&self.outages).remove(server) {
            let seconds = outage.since.elapsed().as_secs();
            tracing::info!(server, "API server reachable again after {seconds} s");
        }
    }

    /// Handles that a server did not answer; logs it once for all requests, and again every minute.
    pub(super) fn unreachable(&self, server: &str, error: &(dyn Error + 'static)) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if error_log::is_not_leading(error) {
            return;
        }
        let now = Instant::now();
        let mut all = lock(&self.outages);
        let outage = all.get(server).copied();
        if outage.is_some_and(|outage| now - outage.logged_at < LOG_INTERVAL) {
            return;
        }
        let since = outage.map_or(now, |outage| outage.since);
        all.insert(server.to_owned(), Outage { since, logged_at: now });
        let error = error_log::with_causes(error);
        tracing::warn!("{error}; the known objects stay in use; retrying");
    }

    /// Registers the metrics.
    ///
    /// # Errors
    /// If a name is already registered.
    pub fn register(&self, registry: &impl MetricSink) -> Result<(), prometheus::Error> {
        let counters = [
            (
                "fairlead_k8s_request_errors_total",
                "Requests to the API server that got no response, or status 429 or 5xx",
                &self.errors,
            ),
            (
                "fairlead_k8s_write_conflicts_total",
                "Writes that the API server rejected because the object had changed",
                &self.conflicts,
            ),
            (
                "fairlead_k8s_writes_not_leading_total",
                "Writes that were not sent because this process no longer led",
                &self.not_leading,
            ),
        ];
        for (name, help, value) in counters {
            register(registry, name, help, MetricType::Counter, value.load(Ordering::Relaxed))?;
        }
        let failures = Opts::new("fairlead_k8s_watch_errors_total", "Watches that failed, by kind");
        let failures = IntCounterVec::new(failures, &["kind"])?;
        let up = Opts::new("fairlead_k8s_watch_up", "1 if the watch of a kind works, 0 if it failed");
        let up = IntGaugeVec::new(up, &["kind"])?;
        for (kind, watch) in &*lock(&self.watches) {
            failures.with_label_values(&[*kind]).inc_by(watch.failures);
            up.with_label_values(&[*kind]).set((!watch.is_failing).into());
        }
        registry.register(Box::new(failures))?;
        registry.register(Box::new(up))
    }
}

/// A task that panicked while it held the lock leaves consistent counters behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{AtomicU64, BTreeMap, ClientStats, Mutex};

    #[test]
    fn a_watch_works_again_once_the_server_accepts_it_though_no_object_changes() {
        let stats = ClientStats {
            errors: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            not_leading: AtomicU64::new(0),
            watches: Mutex::new(BTreeMap::new()),
            outages: Mutex::new(BTreeMap::new()),
        };
        let failing = || {
            let watches = stats.watches.lock().unwrap();
            watches.iter().filter(|(_, it)| it.is_failing).map(|(kind, _)| *kind).collect::<Vec<_>>()
        };
        stats.watch_failed("Community", "communities");
        stats.watch_failed("Node", "nodes");
        stats.watch_started("communities");
        assert_eq!(failing(), ["Node"]);
        stats.watch_succeeded("Node");
        assert!(failing().is_empty());
    }
}
