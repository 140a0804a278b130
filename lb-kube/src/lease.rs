//! Leader election: the process that holds the Lease is the leader.
//!
//! Clocks of machines differ, so the times in a Lease are ignored: it has expired if it has not changed for
//! its duration, by the observer's own clock. The holder stops leading some time before that, whether or not
//! it can reach the server.

mod election;

pub use election::LeaseTimings;
use election::{Election, ElectionStep, LeaseRecord};

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;

use crate::client::error_log::ErrorLog;
use crate::leadership::LeadershipSender;
use lb_runtime::watchdog::Heart;

/// Timeout of requests: two fit into the renew deadline.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// A candidate for a Lease, as configured.
pub struct LeaderElector {
    /// The Leases of its namespace.
    pub api: Api<Lease>,
    /// The Lease's name.
    pub name: String,
    /// The candidate's identity, unique among all candidates.
    pub identity: String,
    /// Durations of the election.
    pub timings: LeaseTimings,
    /// Beats before every request.
    pub heart: Heart,
}

/// The state of a running candidate.
struct ElectionTask {
    elector: LeaderElector,
    election: Election,
    /// The Lease as last received from the server.
    lease: Option<Lease>,
    leadership: LeadershipSender,
    start: Instant,
    log: ErrorLog,
}

impl LeaderElector {
    /// Takes part in the election until `stop` is true, then releases the Lease for another candidate.
    pub async fn run(self, leadership: LeadershipSender, mut stop: watch::Receiver<bool>) {
        let election = Election::new(self.identity.clone(), self.timings);
        let log = ErrorLog::new("another controller becomes leader if this persists");
        let start = Instant::now();
        let mut running = ElectionTask { elector: self, election, lease: None, leadership, start, log };
        while !*stop.borrow() {
            running.step(&mut stop).await;
        }
        running.release().await;
    }
}

impl ElectionTask {
    async fn step(&mut self, stop: &mut watch::Receiver<bool>) {
        self.elector.heart.beat();
        match self.election.step(self.start.elapsed()) {
            // Requests are not aborted: their outcome decides whether the Lease can be released.
            ElectionStep::WaitUntil(time) => tokio::select! {
                () = self.wait(time) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            },
            ElectionStep::Read => self.read().await,
            ElectionStep::AcquireOrRenew { transitions } => self.acquire_or_renew(transitions).await,
        }
        self.publish();
    }

    /// Waits until `time`, or until this candidate's leadership expires, which is then published and logged.
    async fn wait(&self, time: Duration) {
        let until = match self.election.leads_until() {
            Some(end) if end > self.start.elapsed() => time.min(end),
            _ => time,
        };
        tokio::time::sleep_until((self.start + until).into()).await;
    }

    fn publish(&self) {
        let until = self.election.leads_until().map(|until| self.start + until);
        let Some(leads) = self.leadership.set(until) else { return };
        let holder = self.lease.as_ref().and_then(|lease| record(lease).holder);
        let holder = holder.as_deref().unwrap_or_default();
        let message = if leads { "became leader" } else { "lost leadership" };
        tracing::info!(lease = self.elector.name, holder, "{message}");
    }

    async fn read(&mut self) {
        let answer = with_timeout(self.elector.api.get_opt(&self.elector.name)).await;
        match answer {
            Ok(lease) => {
                self.log.succeeded();
                self.election.handle_read(lease.as_ref().map(record), self.start.elapsed());
                self.lease = lease;
            }
            Err(error) => self.handle_failure("read", &error),
        }
    }

    async fn acquire_or_renew(&mut self, transitions: i32) {
        let sent = self.start.elapsed();
        let spec = self.spec(transitions);
        let answer = with_timeout(self.write(spec)).await;
        match answer {
            Ok(lease) => {
                self.log.succeeded();
                self.election.handle_written(record(&lease), sent);
                self.lease = Some(lease);
            }
            Err(kube::Error::Api(status)) if status.code == 409 => self.election.handle_conflict(),
            Err(error) => self.handle_failure("write", &error),
        }
    }

    fn handle_failure(&mut self, verb: &str, error: &kube::Error) {
        self.log.failed(&format!("{verb} Lease {}", self.elector.name), error);
        self.election.handle_failure(self.start.elapsed());
    }

    /// Writes the Lease over the version that was read last: of two candidates that write at once, one
    /// succeeds.
    async fn write(&self, spec: LeaseSpec) -> kube::Result<Lease> {
        let LeaderElector { api, name, .. } = &self.elector;
        match &self.lease {
            Some(before) => {
                let lease = Lease { spec: Some(spec), ..before.clone() };
                api.replace(name, &PostParams::default(), &lease).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
                api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
            }
        }
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let LeaderElector { identity, timings, .. } = &self.elector;
        let now = MicroTime(Timestamp::now());
        let before = self.lease.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let is_new = before.holder_identity.as_ref() != Some(identity);
        LeaseSpec {
            holder_identity: Some(identity.clone()),
            lease_duration_seconds: i32::try_from(timings.lease_duration.as_secs()).ok(),
            acquire_time: if is_new { Some(now.clone()) } else { before.acquire_time.clone() },
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..before
        }
    }

    /// Releases the Lease after this leader's last write, so that another candidate can acquire it at once.
    async fn release(&mut self) {
        self.leadership.set(None);
        let Some(record) = self.election.step_down() else { return };
        let transitions = record.transitions;
        if tokio::time::timeout(REQUEST_TIMEOUT, self.leadership.drained()).await.is_err() {
            tracing::warn!("a write is still in flight; not releasing the Lease, it expires by itself");
            return;
        }
        // As client-go does: no holder, and a duration that passes validation.
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            ..self.spec(transitions)
        };
        match with_timeout(self.write(spec)).await {
            Ok(_) => tracing::info!(lease = self.elector.name, "released the Lease"),
            Err(error) => self.handle_failure("release", &error),
        }
    }
}

/// Limits the time of a request.
async fn with_timeout<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = || {
        std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no response within {REQUEST_TIMEOUT:?}"))
    };
    tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .unwrap_or_else(|_| Err(kube::Error::Service(late().into())))
}

fn record(lease: &Lease) -> LeaseRecord {
    let spec = lease.spec.clone().unwrap_or_default();
    LeaseRecord {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
        duration: spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
    }
}
