//! What is wrong with what configures the load balancer: told in Events on the objects, and in one object on all.
//!
//! Apart from the giving of addresses, which needs none of these kinds but pools: that a kind cannot be watched must not
//! keep a Service from its address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason};
use lb_model::Model;
use tokio::sync::watch;

use lb_kube::cluster::{CONFIGURATION, Cluster};
use lb_kube::config_errors::ConfigErrors;
use lb_kube::events::{Events, News};
use lb_kube::leadership::Leadership;
use lb_kube::snapshot::Snapshot;
use lb_kube::status::{Configuration, Wanted};
use lb_runtime::watchdog::Heart;

/// Changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// When what found no room is offered again.
const OFFER_AGAIN: Duration = Duration::from_secs(10);

/// Says what is wrong.
pub(super) struct Inspector {
    cluster: Cluster,
    leadership: Leadership,
    events: Events,
    wanted: watch::Sender<Option<Arc<Wanted>>>,
    /// What was right before stays in force where it has become wrong.
    before: Model,
    told: BTreeSet<Fact>,
}

/// An object, and what is wrong with it.
type Fact = (ObjectRef, String);

impl Inspector {
    /// Begins to watch. What the cluster is told of all comes out at `wanted`.
    pub(super) fn new(
        client: &Client,
        namespace: &str,
        leadership: Leadership,
        events: Events,
        wanted: watch::Sender<Option<Arc<Wanted>>>,
    ) -> Self {
        let cluster = Cluster::watch(client, &CONFIGURATION, namespace);
        Self { cluster, leadership, events, wanted, before: Model::default(), told: BTreeSet::new() }
    }

    pub(super) async fn run(mut self, heart: Heart) {
        let mut again = false;
        loop {
            let event = async {
                tokio::select! {
                    () = self.cluster.changed() => {}
                    () = self.leadership.changed() => {}
                    () = tokio::time::sleep(OFFER_AGAIN), if again => {}
                }
            };
            heart.beating(event).await;
            tokio::time::sleep(DEBOUNCE).await;
            again = if self.leadership.may_act() { self.inspect() } else { self.stand_by() };
        }
    }

    /// Another leads, and tells.
    fn stand_by(&self) -> bool {
        self.wanted.send_replace(None);
        false
    }

    /// True where not all could be told.
    fn inspect(&mut self) -> bool {
        let Some(snapshot) = self.cluster.read() else { return false };
        let (model, problems) = Model::after(&self.before, &snapshot.objects, None);
        self.before = model;
        let mut all = snapshot.problems.clone();
        all.extend(problems);
        // Secrets are not the controller's to read: agents say what is wrong with them.
        all.retain(|problem| !matches!(problem.reason, Reason::UnknownReference { kind: "Secret", .. }));
        let ConfigErrors { pools, others } = ConfigErrors::of(all.iter());
        let mut wanted = Wanted::default();
        wanted.configuration(Configuration::Controller, &pools, &others);
        self.wanted.send_replace(Some(Arc::new(wanted)));
        self.tell(&snapshot, &all)
    }

    fn tell(&mut self, snapshot: &Snapshot, problems: &[Problem]) -> bool {
        let facts: BTreeSet<Fact> = problems.iter().filter_map(fact).collect();
        let objects: BTreeMap<ObjectRef, &Sourced<Object>> =
            snapshot.objects.iter().map(|object| (object.value.reference(), &**object)).collect();
        let is_told = |fact: &Fact| {
            let (object, words) = fact;
            self.told.contains(fact) || self.events.offer(news(object, objects.get(object), words))
        };
        let (told, refused): (BTreeSet<_>, BTreeSet<_>) = facts.into_iter().partition(is_told);
        self.told = told;
        !refused.is_empty()
    }
}

fn fact(problem: &Problem) -> Option<Fact> {
    // That it stays as it was is told with what is wrong.
    let object = problem.object.clone().filter(|_| problem.reason != Reason::StaysAsBefore)?;
    let words = match &problem.field {
        Some(field) => format!("{field}: {}", problem.reason),
        None => problem.reason.to_string(),
    };
    Some((object, words.replace(['\n', '\r'], " ")))
}

fn news(object: &ObjectRef, seen: Option<&&Sourced<Object>>, words: &str) -> News {
    let watched = CONFIGURATION.iter().find(|watched| object.is(**watched));
    let metadata = seen.map(|object| object.value.metadata());
    let regarding = ObjectReference {
        api_version: watched.map(|watched| watched.api_version()),
        kind: Some(object.kind.clone()),
        name: Some(object.name.clone()),
        namespace: object.namespace.clone(),
        uid: metadata.and_then(|metadata| metadata.uid.clone()),
        resource_version: metadata.and_then(|metadata| metadata.resource_version.clone()),
        ..ObjectReference::default()
    };
    let note = words.to_owned();
    News { regarding, warning: true, reason: "ConfigurationError", note, action: "Configure" }
}
