//! Writes what is wanted, and goes on until the server holds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Client, Resource};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::actual::Held;
use super::announce_events::Herald;
use super::desired::{Statement, Wanted};
use super::diff::{Listed, Operation, operations, stamped};
use super::kind::Kind;
use super::name;
use crate::client::error_log::Log;
use crate::rate_limit::{Budget, Gaps, Outcome, Paces, Terms};

/// Who writes, in the objects' managed fields.
const MANAGER: &str = "fairlead";
/// Requests that are under way at once.
const AT_ONCE: usize = 4;
/// Changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// From one round to the next, for as long as there is anything to do.
const ROUND: Duration = Duration::from_secs(1);
/// Time from one write of a ConfigurationState to the next, and the longest such time.
const AT_MOST: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(8)];

/// Whose objects are written: all others are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A node's.
    Node(String),
    /// The controller's.
    Controller,
}

/// Writes what is wanted.
pub struct Writer {
    /// Where it is read what there is.
    pub client: Client,
    /// Where it is written: of a controller, only while it leads.
    pub writes: Client,
    /// Namespace that it is written in.
    pub namespace: String,
    /// Whose objects they are.
    pub scope: Scope,
    /// This pod, which owns them: without it they go. `None`: nobody owns them.
    pub pod: Option<String>,
    /// How often anything is written.
    pub terms: Terms,
}

/// Who owns what is written.
enum Owner {
    Unknown,
    Nobody,
    Pod(OwnerReference),
}

/// What is remembered from one round to the next.
struct Memory {
    start: Instant,
    owner: Owner,
    budget: Budget,
    paces: Paces<(Kind, String)>,
    herald: Option<Herald>,
    log: Log,
}

impl Writer {
    /// Writes until the task is ended. Before `wanted` is known, nothing is touched.
    pub async fn run(self, wanted: watch::Receiver<Option<Arc<Wanted>>>) {
        let selectors = self.scope.selectors();
        let held = Held::new(selectors.iter().map(|(kind, _)| *kind));
        let followed = selectors.iter().map(|(kind, selector)| held.follow(*kind, self.api(*kind), selector));
        tokio::select! {
            _ = join_all(followed) => {}
            () = self.write_all(&held, wanted) => {}
        }
    }

    async fn write_all(&self, held: &Held, mut wanted: watch::Receiver<Option<Arc<Wanted>>>) {
        let mut memory = self.memory();
        let mut changes = held.changes();
        loop {
            let shall = wanted.borrow_and_update().clone();
            changes.borrow_and_update();
            let is_done = match shall {
                Some(shall) => self.round(&shall, held, &mut memory).await,
                None => true,
            };
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(ROUND), if !is_done => continue,
            }
            tokio::time::sleep(DEBOUNCE).await;
        }
    }

    fn memory(&self) -> Memory {
        let herald = match &self.scope {
            Scope::Node(node) => Some(Herald::new(self.client.clone(), node.clone())),
            Scope::Controller => None,
        };
        Memory {
            start: Instant::now(),
            owner: if self.pod.is_some() { Owner::Unknown } else { Owner::Nobody },
            budget: Budget::new(self.terms.per_second, self.terms.burst),
            paces: Paces::new(),
            herald,
            log: Log::new("it is written as soon as the server takes it"),
        }
    }

    /// Does what may be done now; true where nothing is left to do.
    async fn round(&self, wanted: &Wanted, held: &Held, memory: &mut Memory) -> bool {
        if matches!(memory.owner, Owner::Unknown) {
            memory.owner = self.owner().await;
        }
        let owner = match &memory.owner {
            // Objects without their owner would stay for ever.
            Owner::Unknown => return false,
            Owner::Nobody => None,
            Owner::Pod(pod) => Some(pod.clone()),
        };
        let now = memory.start.elapsed();
        memory.paces.tidy(now);
        let (mut operations, news) = {
            let kinds = held.kinds();
            let left = kinds.get(&Kind::ServiceBgp).unwrap_or(&Listed::Undefined);
            let news = memory.herald.as_mut().map(|herald| herald.news(wanted, left, now));
            (operations(wanted, &kinds, owner.as_ref().map(|pod| pod.uid.as_str())), news)
        };
        let all = operations.len();
        operations.retain(|(key, _)| memory.paces.is_due(key, now));
        operations.truncate(memory.budget.take(operations.len(), now));
        let begun = operations.len();
        let outcomes = self.carry_out(operations, held, owner.as_ref(), &mut memory.log).await;
        let failed = outcomes.iter().any(|(_, outcome)| *outcome != Outcome::Written);
        for (key, outcome) in outcomes {
            let gaps = self.gaps(key.0);
            memory.paces.handle_write(key, gaps, outcome, memory.start.elapsed());
        }
        if let Some(herald) = &memory.herald {
            stream::iter(news.into_iter().flatten())
                .for_each_concurrent(AT_ONCE, async |service| herald.tell(&service).await)
                .await;
        }
        begun == all && !failed
    }

    /// How often an object of a kind is written.
    fn gaps(&self, kind: Kind) -> Gaps {
        let Terms { gap: first, longest_gap: longest, .. } = self.terms;
        match kind {
            // People change what it is about, and look at it then.
            Kind::Configuration => Gaps { first: first.min(AT_MOST[0]), longest: longest.min(AT_MOST[1]) },
            Kind::Session | Kind::ServiceBgp => Gaps { first, longest },
        }
    }

    /// Carries them out, and says what came of each.
    async fn carry_out(
        &self,
        operations: Vec<((Kind, String), Operation<'_>)>,
        held: &Held,
        owner: Option<&OwnerReference>,
        log: &mut Log,
    ) -> Vec<((Kind, String), Outcome)> {
        let mut writes = Vec::with_capacity(operations.len());
        for (key, operation) in operations {
            writes.push(self.write(key, operation, held, owner).boxed());
        }
        let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
        // One for all: each is tried again, and a server that is away refuses all of them.
        match written.iter().find_map(|(key, result)| Some((key, result.as_ref().err()?))) {
            Some(((kind, name), error)) => log.failed(&format!("write {} {name}", kind.name()), error),
            None => log.succeeded(),
        }
        written.into_iter().map(|(key, result)| (key, outcome(&result))).collect()
    }

    /// What came of it.
    async fn write(
        &self,
        (kind, name): (Kind, String),
        operation: Operation<'_>,
        held: &Held,
        owner: Option<&OwnerReference>,
    ) -> ((Kind, String), kube::Result<()>) {
        let written = match operation {
            Operation::State { statement, metadata } => {
                self.state(kind, &name, statement, metadata, held, owner).await
            }
            Operation::Delete => self.delete(kind, &name, held).await,
        };
        ((kind, name), written)
    }

    async fn state(
        &self,
        kind: Kind,
        name: &str,
        statement: &Statement,
        metadata: bool,
        held: &Held,
        owner: Option<&OwnerReference>,
    ) -> kube::Result<()> {
        let api = self.writing(kind);
        let params = PatchParams::apply(MANAGER).force();
        if metadata {
            let body = self.body(kind, statement, owner, self.named(kind, name, held));
            let object = api.patch(name, &params, &Patch::Apply(body)).await?;
            held.handle_written(kind, &object);
        }
        let before = match held.kinds().get(&kind) {
            Some(Listed::Objects(objects)) => objects.get(name).map(|object| object.status.clone()),
            _ => None,
        };
        let status = stamped(
            statement.status.clone(),
            before.as_ref(),
            &Timestamp::now().strftime("%FT%TZ").to_string(),
        );
        let resource = kind.resource();
        let metadata = self.named(kind, name, held);
        let body = json!({
            "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status,
        });
        match api.patch_status(name, &params, &Patch::Apply(body)).await {
            Ok(object) => held.handle_written(kind, &object),
            // Somebody has taken it away, and the watch has not told yet.
            Err(error) if is_not_found(&error) => {
                held.handle_gone(kind, name);
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn delete(&self, kind: Kind, name: &str, held: &Held) -> kube::Result<()> {
        match self.writing(kind).delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error),
        }
        held.handle_gone(kind, name);
        Ok(())
    }

    async fn owner(&self) -> Owner {
        let Some(name) = &self.pod else { return Owner::Nobody };
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        match pods.get(name).await {
            Ok(pod) => pod.owner_ref(&()).map_or(Owner::Nobody, Owner::Pod),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                tracing::warn!(
                    pod = name,
                    reason = status.message,
                    "nobody owns the status objects of this agent"
                );
                Owner::Nobody
            }
            Err(_) => Owner::Unknown,
        }
    }

    /// The object without its status.
    fn body(
        &self,
        kind: Kind,
        statement: &Statement,
        owner: Option<&OwnerReference>,
        mut metadata: Value,
    ) -> Value {
        let resource = kind.resource();
        let (label, value) = kind.owner_label();
        metadata["labels"] = json!(statement.labels);
        metadata["labels"][label] = value.into();
        if let Some(owner) = owner {
            metadata["ownerReferences"] = json!([owner]);
        }
        json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata})
    }

    /// A server makes only what the body names, whatever the path says. Of a controller, the version that is replaced:
    /// another may lead by the time that the write arrives.
    fn named(&self, kind: Kind, name: &str, held: &Held) -> Value {
        let mut metadata = json!({"name": name, "namespace": self.namespace});
        if self.scope == Scope::Controller
            && let Some(Listed::Objects(objects)) = held.kinds().get(&kind)
            && let Some(object) = objects.get(name)
        {
            metadata["resourceVersion"] = object.version.to_string().into();
        }
        metadata
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    fn writing(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.writes.clone(), &self.namespace, &kind.resource())
    }
}

impl Scope {
    /// The kinds that are written, and the labels of their objects that are ours.
    fn selectors(&self) -> Vec<(Kind, String)> {
        let selector = |kind: Kind, label: &str, value: &str| {
            let (owner, ours) = kind.owner_label();
            (kind, format!("{label}={value},{owner}={ours}"))
        };
        match self {
            Self::Node(node) => {
                let node = name::label(node);
                Kind::ALL.map(|kind| selector(kind, kind.node_label(), &node)).into()
            }
            Self::Controller => {
                vec![selector(Kind::Configuration, "metallb.io/component-type", "controller")]
            }
        }
    }
}

fn outcome(result: &kube::Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Written,
        // Another version, gone, or too many requests: next time it may be taken.
        Err(kube::Error::Api(status)) if matches!(status.code, 400..500) => match status.code {
            404 | 409 | 410 | 429 => Outcome::Failed,
            _ => Outcome::Refused,
        },
        Err(_) => Outcome::Failed,
    }
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
