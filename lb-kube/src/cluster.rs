//! The objects of a cluster, as watched at the API server.
//!
//! A task per kind watches it; Secrets are read by name. While the server does not answer, the last known
//! objects stay in use; an object that has become invalid keeps its last valid version.

mod reflector;
mod secrets;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::Client;
use kube::api::Api;
use lb_api::kind::ObjectKind;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::reflector::Reflector;
use self::secrets::Secrets;
use self::store::Store;
use crate::client::error_log::ErrorLog;
use crate::raw_object::RawObject;
use crate::resource::{api, resource};
use crate::snapshot::Snapshot;

/// The watched kinds of a cluster.
#[derive(Debug)]
pub struct Cluster {
    store: Arc<Store>,
    changes: watch::Receiver<u64>,
    /// Aborted when this is dropped.
    _tasks: JoinSet<()>,
}

impl Cluster {
    /// Starts to watch these kinds. Objects of `metallb.io` and Secrets count in `namespace`, other kinds in
    /// all namespaces. Secrets are those that BGPPeers reference, so these must be among the kinds as well.
    pub fn watch(client: &Client, kinds: &[ObjectKind], namespace: &str) -> Self {
        let store = Arc::new(Store::new(kinds.iter().map(|kind| kind.name)));
        let mut tasks = JoinSet::new();
        for kind in kinds {
            let (store, resource) = (Arc::clone(&store), resource(*kind));
            let api: Api<RawObject> = api(*kind, client.clone(), namespace);
            if *kind == ObjectKind::SECRET {
                let namespace = namespace.to_owned();
                let log = ErrorLog::new("the known passwords stay in use");
                let secrets = Secrets { api, resource, namespace, store, denied: BTreeSet::new(), log };
                tasks.spawn(secrets.run());
            } else {
                tasks.spawn(Reflector { kind: kind.name, api, resource, store }.run());
            }
        }
        Self { changes: store.changes(), store, _tasks: tasks }
    }

    /// Waits for a change of any object.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The store, which holds the sender, lives as long as this.
            std::future::pending::<()>().await;
        }
    }

    /// Returns all objects; `None` until every kind has been listed once: before that, an object that is
    /// missing may only not have been received yet.
    pub fn read(&self) -> Option<Snapshot> {
        let kinds = self.store.lock();
        if !kinds.values().all(|kind| kind.synced) {
            return None;
        }
        let mut snapshot = Snapshot::default();
        for entry in kinds.values().flat_map(|kind| kind.entries.values()) {
            snapshot.objects.extend(entry.object.clone());
            snapshot.problems.extend(entry.problems.iter().cloned());
        }
        Some(snapshot)
    }

    /// Returns the kinds that have not been listed yet.
    pub fn missing(&self) -> Vec<&'static str> {
        let kinds = self.store.lock();
        kinds.iter().filter(|(_, kind)| !kind.synced).map(|(name, _)| *name).collect()
    }
}
