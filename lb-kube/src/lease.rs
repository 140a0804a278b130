//! Leader election: who holds a Lease acts.
//!
//! Clocks of machines differ, so nobody believes the times in a Lease: it has expired when it has not changed for
//! its duration, by the clock of whoever looks on. The holder stops acting some time before that, whether
//! or not it can reach the server.

mod election;

pub use election::{Election, Record, Step, Terms};

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;

use crate::client::error_log::Log;
use crate::leadership::Grant;
use lb_runtime::watchdog::Heart;

/// A request without an answer by then has failed: two fit into the time that the holder acts.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// A candidate for a Lease.
pub struct Candidate {
    /// Leases of its namespace.
    pub api: Api<Lease>,
    /// Its name.
    pub name: String,
    /// Who this is: no other candidate is called so.
    pub identity: String,
    /// How long it is held, and how often renewed.
    pub terms: Terms,
    /// Beats with every request.
    pub heart: Heart,
}

/// A candidate that runs.
struct Running {
    candidate: Candidate,
    election: Election,
    /// The Lease as the server returned it last.
    lease: Option<Lease>,
    grant: Grant,
    start: Instant,
    failures: Log,
}

impl Candidate {
    /// Takes part until `stop` is true; then releases the Lease, so that another takes it at once.
    pub async fn run(self, grant: Grant, mut stop: watch::Receiver<bool>) {
        let election = Election::new(self.identity.clone(), self.terms);
        let failures = Log::new("another controller leads if this lasts");
        let start = Instant::now();
        let mut running = Running { candidate: self, election, lease: None, grant, start, failures };
        while !*stop.borrow() {
            running.round(&mut stop).await;
        }
        running.release().await;
    }
}

impl Running {
    async fn round(&mut self, stop: &mut watch::Receiver<bool>) {
        self.candidate.heart.beat();
        match self.election.step(self.start.elapsed()) {
            // A request is not broken off: what became of it decides whether the Lease can be released.
            Step::WaitUntil(time) => tokio::select! {
                () = self.wait(time) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            },
            Step::Read => self.read().await,
            Step::Take { transitions } => self.take(transitions).await,
        }
        self.publish();
    }

    /// Waits, and no longer than this one leads: its end is logged when it comes.
    async fn wait(&self, time: Duration) {
        let until = match self.election.acts_until() {
            Some(end) if end > self.start.elapsed() => time.min(end),
            _ => time,
        };
        tokio::time::sleep_until((self.start + until).into()).await;
    }

    fn publish(&self) {
        let until = self.election.acts_until().map(|until| self.start + until);
        let Some(leads) = self.grant.set(until) else { return };
        let holder = self.lease.as_ref().and_then(|lease| record(lease).holder);
        let holder = holder.as_deref().unwrap_or_default();
        tracing::info!(lease = self.candidate.name, leading = leads, holder, "leadership");
    }

    async fn read(&mut self) {
        let answer = within(self.candidate.api.get_opt(&self.candidate.name)).await;
        match answer {
            Ok(lease) => {
                self.failures.succeeded();
                self.election.handle_read(lease.as_ref().map(record), self.start.elapsed());
                self.lease = lease;
            }
            Err(error) => self.fail("read", &error),
        }
    }

    async fn take(&mut self, transitions: i32) {
        let sent = self.start.elapsed();
        let spec = self.spec(transitions);
        let answer = within(self.write(spec)).await;
        match answer {
            Ok(lease) => {
                self.failures.succeeded();
                self.election.handle_taken(record(&lease), sent);
                self.lease = Some(lease);
            }
            Err(kube::Error::Api(status)) if status.code == 409 => self.election.handle_conflict(),
            Err(error) => self.fail("write", &error),
        }
    }

    fn fail(&mut self, verb: &str, error: &kube::Error) {
        self.failures.failed(&format!("{verb} Lease {}", self.candidate.name), error);
        self.election.handle_failure(self.start.elapsed());
    }

    /// Replaces the version that was read last, so of two candidates that write at once one succeeds.
    async fn write(&self, spec: LeaseSpec) -> kube::Result<Lease> {
        let Candidate { api, name, .. } = &self.candidate;
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
        let Candidate { identity, terms, .. } = &self.candidate;
        let now = MicroTime(Timestamp::now());
        let before = self.lease.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let is_new = before.holder_identity.as_ref() != Some(identity);
        LeaseSpec {
            holder_identity: Some(identity.clone()),
            lease_duration_seconds: i32::try_from(terms.duration.as_secs()).ok(),
            acquire_time: if is_new { Some(now.clone()) } else { before.acquire_time.clone() },
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..before
        }
    }

    /// Lets others take the Lease at once, after the last write of this leader.
    async fn release(&mut self) {
        self.grant.set(None);
        let Some(record) = self.election.resign() else { return };
        let transitions = record.transitions;
        if tokio::time::timeout(ANSWER_WITHIN, self.grant.drained()).await.is_err() {
            tracing::warn!("a write has no answer: the Lease is left to expire");
            return;
        }
        // As client-go does: no holder, and a duration that a server takes.
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            ..self.spec(transitions)
        };
        match within(self.write(spec)).await {
            Ok(_) => tracing::info!(lease = self.candidate.name, "Lease released"),
            Err(error) => self.fail("release", &error),
        }
    }
}

/// An answer, or the error that there was none.
async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late =
        || std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {ANSWER_WITHIN:?}"));
    tokio::time::timeout(ANSWER_WITHIN, request)
        .await
        .unwrap_or_else(|_| Err(kube::Error::Service(late().into())))
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
        duration: spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
    }
}
