//! One of several leads: who holds a Lease.
//!
//! Clocks of machines differ, so nobody believes the times in a Lease: it has expired when it has not changed for
//! its duration, by the clock of whoever looks on. The holder in turn stops to act some time before that, whether
//! or not it knows of anybody else.

mod election;

pub use election::{Election, Record, Step, Terms};

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;

use crate::watchdog::Heart;

/// A Lease, and who wants it.
pub struct Contender {
    /// Leases of its namespace.
    pub api: Api<Lease>,
    /// Its name.
    pub name: String,
    /// Who this is: no other contender is called so.
    pub identity: String,
    /// How long it is held, and how often renewed.
    pub terms: Terms,
    /// Beats with every look.
    pub heart: Heart,
}

impl Contender {
    /// Contends for ever; `leads` says how it stands.
    pub async fn run(self, leads: watch::Sender<bool>) {
        let start = Instant::now();
        let mut election = Election::new(self.identity.clone(), self.terms);
        loop {
            self.heart.beat();
            match self.api.get_opt(&self.name).await {
                Ok(lease) => {
                    let record = lease.as_ref().map(record);
                    election.handle_record(record, start.elapsed());
                    if let Step::Take { transitions } = election.step(start.elapsed()) {
                        self.take(&mut election, lease, transitions, start).await;
                    }
                }
                Err(error) => tracing::debug!(lease = self.name, %error, "the Lease cannot be read"),
            }
            let leading = election.leads(start.elapsed());
            if leads.send_if_modified(|before| std::mem::replace(before, leading) != leading) {
                tracing::info!(lease = self.name, leading, "leadership");
            }
            tokio::time::sleep(self.terms.retry).await;
        }
    }

    async fn take(&self, election: &mut Election, before: Option<Lease>, transitions: i32, start: Instant) {
        // Counted from before the request: the others may have seen it that early.
        let asked = start.elapsed();
        let spec = self.spec(before.as_ref(), transitions);
        let written = match before {
            Some(before) => {
                let lease = Lease { spec: Some(spec), ..before };
                // Says which version it replaces, so two that take it at once are one that does.
                self.api.replace(&self.name, &PostParams::default(), &lease).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(spec) };
                self.api.create(&PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => election.handle_taken(record(&lease), asked),
            Err(error) => tracing::debug!(lease = self.name, %error, "the Lease cannot be taken"),
        }
    }

    fn spec(&self, before: Option<&Lease>, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let before = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let is_new = before.holder_identity.as_deref() != Some(&self.identity);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.terms.duration.as_secs()).ok(),
            acquire_time: if is_new { Some(now.clone()) } else { before.acquire_time.clone() },
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..before
        }
    }
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
