//! The task that watches one kind and keeps its objects in the store up to date.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ApiResource};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, InitialListStrategy, watcher};

use super::store::{KindStore, Store};
use crate::client::error_log::ErrorLog;
use crate::client::stats;
use crate::raw_object::RawObject;
use crate::watch::{TIMEOUT_SECONDS, WatchBackoff, is_undefined};

/// Delay before a kind that is not defined is watched again: first if it has never been defined, then if it
/// has. A server that has just started does not know all kinds yet.
const UNDEFINED_RETRY: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(2)];

/// Watches one kind.
pub(super) struct Reflector {
    pub(super) kind: &'static str,
    pub(super) api: Api<RawObject>,
    pub(super) resource: ApiResource,
    pub(super) store: Arc<Store>,
}

impl Reflector {
    /// Watches until the task is aborted.
    pub(super) async fn run(self) {
        // A streaming list is parsed object by object; any other is in memory as a whole.
        let config = watcher::Config::default().timeout(TIMEOUT_SECONDS).streaming_lists();
        let mut strategy = InitialListStrategy::StreamingList;
        let mut events = watcher(self.api.clone(), config.clone()).backoff(WatchBackoff::default()).boxed();
        let mut log = ErrorLog::new("the known objects stay in use");
        let mut was_defined = false;
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    // `Init` precedes the server's answer.
                    if !matches!(event, Event::Init) {
                        log.succeeded();
                        was_defined = true;
                        stats().watch_succeeded(self.kind);
                    }
                    self.store.update(self.kind, |store| store.handle_event(event, &self.resource));
                }
                // A watcher's stream does not end.
                Ok(None) => return,
                Err(error) if strategy == InitialListStrategy::StreamingList && cannot_stream(&error) => {
                    tracing::debug!(kind = self.kind, "the server does not support streaming lists");
                    strategy = InitialListStrategy::ListWatch;
                    let config =
                        watcher::Config { initial_list_strategy: strategy.clone(), ..config.clone() };
                    events = watcher(self.api.clone(), config).backoff(WatchBackoff::default()).boxed();
                }
                Err(error) => self.handle_error(&error, &mut log, was_defined).await,
            }
        }
    }

    async fn handle_error(&self, error: &watcher::Error, log: &mut ErrorLog, was_defined: bool) {
        stats().watch_failed(self.kind, &self.resource.plural);
        let is_undefined = is_undefined(error);
        if is_undefined && self.store.update(self.kind, KindStore::handle_undefined) {
            tracing::warn!(
                kind = self.kind,
                "the cluster does not define this kind; continuing without objects of it"
            );
        }
        log.watch_failed(self.kind, error);
        if is_undefined {
            tokio::time::sleep(UNDEFINED_RETRY[usize::from(was_defined)]).await;
        }
    }
}

/// Returns whether the server rejected a streaming list: it is older than Kubernetes 1.32, or has the feature
/// disabled.
fn cannot_stream(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(source) = error else { return false };
    matches!(source, kube::Error::Api(status) if matches!(status.code, 400 | 422))
}
