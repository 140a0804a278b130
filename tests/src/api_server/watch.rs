//! A watch: changes as they come, a line each.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::kinds::Kind;
use super::request::{Query, Target};
use super::store::{Change, Store};

/// A watch, and how far it has told.
pub(super) struct Watch {
    pub(super) store: Arc<Store>,
    pub(super) target: Target,
    pub(super) kind: Kind,
    pub(super) query: Query,
}

/// The client is gone.
struct Left;

impl Watch {
    /// An answer that goes on until the client leaves or the server ends.
    pub(super) fn respond(self) -> Response {
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            // That the client has left is how a watch ends.
            let _: Result<(), Left> = self.run(&sender).await;
        });
        let lines = futures::stream::unfold(receiver, |mut receiver| async {
            let line = receiver.recv().await?;
            Some((Ok::<Bytes, Infallible>(line), receiver))
        });
        ([("content-type", "application/json")], Body::from_stream(lines)).into_response()
    }

    async fn run(self, sender: &mpsc::Sender<Bytes>) -> Result<(), Left> {
        let mut versions = self.store.versions();
        let mut told = match self.query.get("resourceVersion").and_then(|version| version.parse().ok()) {
            Some(version) if version > 0 && !self.query.is_set("sendInitialEvents") => version,
            _ => self.begin(sender).await?,
        };
        loop {
            self.store.faults().resumed().await;
            versions.borrow_and_update();
            match self.store.since(&self.target, told) {
                Ok((news, version)) => {
                    for (what, change) in news.iter().filter_map(|change| Some((self.seen(change)?, change)))
                    {
                        send(sender, what, &change.object).await?;
                    }
                    told = version;
                }
                Err(failure) => return send(sender, "ERROR", &failure.status()).await,
            }
            tokio::select! {
                changed = versions.changed() => changed.map_err(|_| Left)?,
                () = sender.closed() => return Err(Left),
            }
        }
    }

    /// What a change is to who selects: an object may come to be selected, or cease to be.
    fn seen(&self, change: &Change) -> Option<&'static str> {
        let was = change.before.as_ref().is_some_and(|before| self.query.selects(before));
        match (was, self.query.selects(&change.object)) {
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
            (false, true) if change.what == "DELETED" => Some("DELETED"),
            (false, true) => Some("ADDED"),
            (false, false) => None,
        }
    }

    /// All that is there, as if it had just come; then a bookmark, which says that this was all.
    async fn begin(&self, sender: &mpsc::Sender<Bytes>) -> Result<u64, Left> {
        let (objects, version) = self.store.list(&self.target);
        for object in objects.iter().filter(|object| self.query.selects(object)) {
            send(sender, "ADDED", object).await?;
        }
        if self.query.is_set("allowWatchBookmarks") {
            let bookmark = json!({
                "apiVersion": self.target.api_version(),
                "kind": self.kind.kind,
                "metadata": {
                    "resourceVersion": version.to_string(),
                    "annotations": {"k8s.io/initial-events-end": "true"},
                },
            });
            send(sender, "BOOKMARK", &bookmark).await?;
        }
        Ok(version)
    }
}

async fn send(sender: &mpsc::Sender<Bytes>, what: &str, object: &Value) -> Result<(), Left> {
    let line = format!("{}\n", json!({"type": what, "object": object}));
    sender.send(line.into()).await.map_err(|_| Left)
}
