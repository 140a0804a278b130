//! The Secrets that BGPPeers reference, each read by name.
//!
//! A role that may list or watch Secrets can read all of them. So none is listed: a compromised agent can
//! read only the Secrets that its role names (`speaker.passwordSecrets` of the chart). The price is that a
//! new password takes effect at the next poll, not at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ApiResource};
use lb_api::kind::ObjectKind;
use lb_api::objects::Object;
use tokio::time::{Instant, sleep_until};

use super::store::Store;
use crate::client::error_log::ErrorLog;
use crate::raw_object::RawObject;

/// Interval of polls.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// Delay before the next poll if the server did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// Polls the referenced Secrets into the store.
pub(super) struct Secrets {
    pub(super) api: Api<RawObject>,
    pub(super) resource: ApiResource,
    pub(super) namespace: String,
    pub(super) store: Arc<Store>,
    /// The Secrets that this agent may not read: logged once.
    pub(super) denied: BTreeSet<String>,
    pub(super) log: ErrorLog,
}

/// The answer to the request for a Secret.
enum Answer {
    Found(Box<RawObject>),
    NotFound,
    /// This agent may not read it: its last known version stays in use.
    Denied,
    /// The server did not answer.
    None,
}

impl Secrets {
    /// Polls until the task is aborted.
    pub(super) async fn run(mut self) {
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            let names = referenced(&self.store, &self.namespace);
            let pause = match &names {
                Some(names) if self.poll(names).await => POLL_INTERVAL,
                Some(_) => RETRY,
                // BGPPeers have not been listed yet; a change wakes this when they have.
                None => POLL_INTERVAL,
            };
            let next = Instant::now() + pause;
            while referenced(&self.store, &self.namespace) == names {
                tokio::select! {
                    Ok(()) = changes.changed() => {}
                    () = sleep_until(next) => break,
                }
            }
        }
    }

    /// Reads each Secret once; returns whether the server answered all requests.
    async fn poll(&mut self, names: &BTreeSet<String>) -> bool {
        let mut is_changed = false;
        let mut is_complete = true;
        for name in names {
            let answer = self.get(name).await;
            let key = (self.namespace.clone(), name.clone());
            let mut kinds = self.store.lock();
            let secrets = kinds.entry(ObjectKind::SECRET.name).or_default();
            match answer {
                Answer::Found(secret) => is_changed |= secrets.apply(&secret, &self.resource),
                Answer::NotFound => is_changed |= secrets.entries.remove(&key).is_some(),
                Answer::Denied => {}
                Answer::None => is_complete = false,
            }
        }
        let mut kinds = self.store.lock();
        let secrets = kinds.entry(ObjectKind::SECRET.name).or_default();
        let before = secrets.entries.len();
        secrets.entries.retain(|(_, name), _| names.contains(name));
        is_changed |= secrets.entries.len() != before;
        is_changed |= is_complete && !std::mem::replace(&mut secrets.synced, true);
        drop(kinds);
        if is_changed {
            self.store.notify();
        }
        is_complete
    }

    async fn get(&mut self, name: &str) -> Answer {
        match self.api.get(name).await {
            Ok(secret) => {
                self.log.succeeded();
                self.denied.remove(name);
                Answer::Found(Box::new(secret))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Answer::NotFound,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                if self.denied.insert(name.to_owned()) {
                    tracing::error!(
                        secret = name,
                        "cannot read the password of a BGPPeer: {}; add the Secret to the agents' role \
                         (speaker.passwordSecrets of the chart)",
                        status.message
                    );
                }
                Answer::Denied
            }
            Err(error) => {
                self.log.failed(&format!("read Secret {name} of a BGPPeer"), &error);
                Answer::None
            }
        }
    }
}

/// Returns the names of the Secrets that BGPPeers reference; `None` until BGPPeers have been listed.
fn referenced(store: &Store, namespace: &str) -> Option<BTreeSet<String>> {
    let kinds = store.lock();
    let peers = kinds.get(ObjectKind::BGP_PEER.name).filter(|kind| kind.synced)?;
    let names = peers.entries.values().filter_map(|entry| {
        let Object::BgpPeer(peer) = &entry.object.as_deref()?.value else { return None };
        let reference = peer.spec.password_secret.as_ref()?;
        let is_here = reference.namespace.as_deref().is_none_or(|it| it.is_empty() || it == namespace);
        reference.name.clone().filter(|name| is_here && !name.is_empty())
    });
    Some(names.collect())
}
