//! The server that a recording is replayed against.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::time::sleep;

use super::client::ReplayClient;
use super::recording::Recording;
use crate::api_server::{ObjectStore, TestApiServer, definitions, status_definitions};

/// The administrator's token.
const TOKEN: &str = "administrator";
/// Longest pause that only serves to make timestamps differ.
const SHORT: f64 = 1.2;
/// Time for what takes a real server seconds.
const SETTLES_WITHIN: Duration = Duration::from_millis(500);
/// A recording that pauses longer than this waits for the server to compact its log.
const FORGETS_AFTER: f64 = 10.0;

/// A server with the definitions of `deploy/crds`.
pub(super) struct ReplayServer {
    store: Arc<ObjectStore>,
    server: TestApiServer,
}

impl ReplayServer {
    pub(super) async fn start(recording: &Recording) -> Result<Self> {
        let store = Arc::new(ObjectStore::default());
        for definition in definitions().iter().chain(&status_definitions()) {
            store.put(definition)?;
        }
        store.protect(TOKEN, recording.server.is_none());
        if recording.server.as_deref() == Some("compacts") {
            store.compact();
        }
        let server = TestApiServer::start(Arc::clone(&store), "127.0.0.1:0".parse()?)?;
        Ok(Self { store, server })
    }

    pub(super) fn client(&self) -> ReplayClient {
        ReplayClient { address: self.server.address(), token: TOKEN.to_owned() }
    }

    /// Waits until a namespace has its default objects.
    pub(super) async fn settle(&self, client: &ReplayClient, namespace: &str) -> Result<()> {
        for path in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
            let path = format!("/api/v1/namespaces/{namespace}/{path}");
            while client.admin("GET", &path, None).await?.0 != 200 {
                sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    /// Pauses until everything has happened that happened within so many seconds of the recording.
    pub(super) async fn pause(&self, seconds: f64, server: Option<&str>) {
        if seconds > FORGETS_AFTER && server == Some("compacts") {
            // There must be changes to compact.
            for name in ["one", "two"] {
                let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
                // ConfigMaps are always known.
                let _: Result<()> = self.store.put(&object);
            }
            self.store.compact();
        } else if seconds > 0.0 {
            // What takes a real server seconds takes this one milliseconds; but timestamps have seconds.
            sleep(if seconds < SHORT { Duration::from_secs_f64(seconds) } else { SETTLES_WITHIN }).await;
        }
    }
}
