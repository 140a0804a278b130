//! The Secrets that BGPPeers name, each got by its name.
//!
//! Whoever may list or watch Secrets may read all of them. So none is listed: an agent that is taken over knows no more
//! than it asks for, and its role may name the Secrets (`speaker.passwordSecrets` of the chart). The price is that a new
//! password is seen with the next look and not at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::api::{Api, ApiResource};
use lb_api::kind::ObjectKind;
use lb_api::objects::Object;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Log, Seen, Written, lock};

/// How often the Secrets are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// When a server that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(5);

/// Where Secrets are got, and what has been said of it.
pub(super) struct Secrets {
    pub(super) api: Api<Written>,
    pub(super) resource: ApiResource,
    pub(super) namespace: String,
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) changed: Arc<watch::Sender<u64>>,
    /// Those that this agent may not read: said once.
    pub(super) denied: BTreeSet<String>,
    pub(super) log: Log,
}

/// What came of asking for a Secret.
enum Answer {
    There(Box<Written>),
    Gone,
    /// This agent may not know: what was seen of it before stays.
    Denied,
    /// The server did not answer.
    None,
}

impl Secrets {
    /// Keeps what is seen of Secrets up to date for ever.
    pub(super) async fn follow(mut self) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            let names = named(&self.seen, &self.namespace);
            let pause = match &names {
                Some(names) if self.look(names).await => LOOK_EVERY,
                Some(_) => RETRY,
                // BGPPeers have not been listed yet: a change says when they have.
                None => LOOK_EVERY,
            };
            let next = Instant::now() + pause;
            while named(&self.seen, &self.namespace) == names {
                tokio::select! {
                    Ok(()) = changes.changed() => {}
                    () = sleep_until(next) => break,
                }
            }
        }
    }

    /// Asks for each once; true where the server has answered for all.
    async fn look(&mut self, names: &BTreeSet<String>) -> bool {
        let mut differs = false;
        let mut complete = true;
        for name in names {
            let answer = self.get(name).await;
            let key = (self.namespace.clone(), name.clone());
            let mut seen = lock(&self.seen);
            let kind = seen.kinds.entry(ObjectKind::SECRET.name).or_default();
            match answer {
                Answer::There(written) => differs |= kind.apply(&written, &self.resource),
                Answer::Gone => differs |= kind.entries.remove(&key).is_some(),
                Answer::Denied => {}
                Answer::None => complete = false,
            }
        }
        let mut seen = lock(&self.seen);
        let kind = seen.kinds.entry(ObjectKind::SECRET.name).or_default();
        let before = kind.entries.len();
        kind.entries.retain(|(_, name), _| names.contains(name));
        differs |= kind.entries.len() != before;
        differs |= complete && !std::mem::replace(&mut kind.synced, true);
        drop(seen);
        if differs {
            self.changed.send_modify(|version| *version += 1);
        }
        complete
    }

    async fn get(&mut self, name: &str) -> Answer {
        match self.api.get(name).await {
            Ok(written) => {
                self.log.succeeded();
                self.denied.remove(name);
                Answer::There(Box::new(written))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Answer::Gone,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                if self.denied.insert(name.to_owned()) {
                    tracing::error!(
                        secret = name,
                        "cannot read the password of a BGPPeer: {}; add the Secret to the role of the agents \
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

/// The names of the Secrets that BGPPeers want; `None` until these have been listed.
fn named(seen: &Mutex<Seen>, namespace: &str) -> Option<BTreeSet<String>> {
    let seen = lock(seen);
    let peers = seen.kinds.get(ObjectKind::BGP_PEER.name).filter(|kind| kind.synced)?;
    let names = peers.entries.values().filter_map(|entry| {
        let Object::BgpPeer(peer) = &entry.object.as_deref()?.value else { return None };
        let reference = peer.spec.password_secret.as_ref()?;
        let is_here = reference.namespace.as_deref().is_none_or(|it| it.is_empty() || it == namespace);
        reference.name.clone().filter(|name| is_here && !name.is_empty())
    });
    Some(names.collect())
}
