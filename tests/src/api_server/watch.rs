//! Watches, which stream changes, one line each.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::conversion;
use super::error;
use super::kinds::{ApiKind, KindVersion};
use super::negotiate::{AcceptedMedia, ObjectView, accept};
use super::operations::{check_list, number, parse_version};
use super::request::{Query, RequestTarget};
use super::selectors::Selectors;
use super::status_error::{StatusCause, StatusError};
use super::store::{ObjectStore, StoreChange, is_of};
use super::strategy::Strategy;
use super::table;
use super::text::BodyEncoding;

/// Interval of bookmarks.
const BOOKMARKS_EVERY: Duration = Duration::from_secs(1);
/// How long a streaming list waits for a future version.
const WAITS_FOR_VERSION: Duration = Duration::from_secs(3);
/// Default timeout of a watch.
const LONGEST: Duration = Duration::from_secs(3000);
const END_OF_LIST: &str = "k8s.io/initial-events-end";

/// A watch request.
pub(super) struct ServerWatch {
    store: Arc<ObjectStore>,
    kind: Arc<ApiKind>,
    version: KindVersion,
    namespace: Option<String>,
    query: Query,
    selectors: Selectors,
    view: ObjectView,
    start: Start,
    has_bookmarks: bool,
    ends: Instant,
}

/// The start of a watch.
#[derive(Clone, Copy)]
enum Start {
    /// The present objects; with `bookmark`, followed by the bookmark that ends the list.
    There { bookmark: bool, not_before: u64 },
    /// After a version.
    Behind(u64),
    /// From now on.
    Now,
}

/// The client has disconnected, or the watch is over.
struct ClientGone;

impl ServerWatch {
    /// Begins a response that lasts until the client disconnects, the timeout expires, or the server ends.
    pub(super) fn begin(
        store: &Arc<ObjectStore>,
        kind: Arc<ApiKind>,
        target: RequestTarget,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Response, StatusError> {
        let expected = AcceptedMedia::for_objects(accept(headers), kind.traits.is_custom)?;
        if expected.encoding == BodyEncoding::Yaml {
            let offered = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
            let message =
                format!("only the following media types are accepted: {}", offered.replace(", ", ","));
            return Err(error::not_acceptable(message.replace("watch,", "watch, "), None));
        }
        check_list(query, true)?;
        if query.has("sendInitialEvents") && !store.streams() {
            let cause =
                StatusCause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for watch");
            return Err(error::invalid_options("ListOptions", &[cause]));
        }
        let fields = match &target.name {
            Some(name) => format!("metadata.name={name}"),
            None => query.get("fieldSelector").unwrap_or_default().to_owned(),
        };
        let selectors = Selectors::parse(query.get("labelSelector").unwrap_or_default(), &fields, &kind)
            .map_err(StatusError::bad_request)?;
        let seconds = number(query, "timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = seconds.filter(|seconds| *seconds > 0).map_or(LONGEST, Duration::from_secs);
        let version = kind.version(&target.version).cloned().ok_or_else(error::no_route)?;
        let watch = Self {
            store: Arc::clone(store),
            start: start(query)?,
            namespace: target.namespace,
            has_bookmarks: query.is_set("allowWatchBookmarks"),
            ends: Instant::now() + lasts,
            view: expected.view,
            query: query.clone(),
            kind,
            version,
            selectors,
        };
        Ok(watch.respond())
    }

    fn respond(self) -> Response {
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            // A disconnect is a normal end of a watch.
            let _: Result<(), ClientGone> = self.run(&sender).await;
        });
        let lines = futures::stream::unfold(receiver, |mut receiver| async {
            let line = receiver.recv().await?;
            Some((Ok::<Bytes, Infallible>(line), receiver))
        });
        ([("content-type", "application/json")], Body::from_stream(lines)).into_response()
    }

    async fn run(self, sender: &mpsc::Sender<Bytes>) -> Result<(), ClientGone> {
        let mut versions = self.store.versions();
        let mut is_first = true;
        let mut sent = self.first(sender, &mut is_first).await?;
        let mut bookmark = Instant::now() + BOOKMARKS_EVERY;
        loop {
            self.store.faults().resumed().await;
            versions.borrow_and_update();
            sent = self.send_since(sender, sent, &mut is_first).await?;
            if self.is_over() {
                return Ok(());
            }
            tokio::select! {
                changed = versions.changed() => changed.map_err(|_| ClientGone)?,
                () = sender.closed() => return Err(ClientGone),
                () = sleep_until(self.ends) => return Ok(()),
                () = sleep_until(bookmark), if self.has_bookmarks => {
                    let (version, now) = (self.store.lock().version, Instant::now());
                    bookmark = now + BOOKMARKS_EVERY;
                    sent = self.send_since(sender, sent, &mut is_first).await?;
                    if sent >= version {
                        self.send(sender, "BOOKMARK", &self.bookmark(sent, false), &mut is_first).await?;
                    }
                }
            }
        }
    }

    /// Returns whether the watched kind no longer exists.
    fn is_over(&self) -> bool {
        self.store
            .kind(&self.kind.group, &self.kind.plural)
            .is_none_or(|kind| kind.version(&self.version.name).is_none())
    }

    /// Sends the changes since a version; returns the new version.
    async fn send_since(
        &self,
        sender: &mpsc::Sender<Bytes>,
        sent: u64,
        is_first: &mut bool,
    ) -> Result<u64, ClientGone> {
        let changes = {
            let inner = self.store.lock();
            let changes = inner.since(sent).map(|changes| {
                let own = changes.iter().filter(|c| is_of(&c.key, &self.kind, self.namespace.as_deref()));
                own.cloned().collect::<Vec<StoreChange>>()
            });
            changes.map(|changes| (changes, inner.version.max(sent))).map_err(|compacted| compacted.oldest)
        };
        match changes {
            Ok((changes, version)) => {
                for change in &changes {
                    if let Some((what, object)) = self.seen(change) {
                        self.send(sender, what, &object, is_first).await?;
                    }
                }
                Ok(version)
            }
            Err(oldest) => {
                let words = format!("too old resource version: {sent} ({oldest})");
                send(sender, "ERROR", &error::expired(words).status()).await?;
                Err(ClientGone)
            }
        }
    }

    /// Returns the event of a change for the selectors: an object may become selected, or cease to be.
    fn seen(&self, change: &StoreChange) -> Option<(&'static str, Value)> {
        let was = change.before.as_ref().is_some_and(|before| self.selectors.select(before));
        let is = !change.is_removal && self.selectors.select(&change.object);
        let shown = |object: &Value| conversion::to_version(&self.kind, object.clone(), &self.version.name);
        match (was, is) {
            (true, true) => Some(("MODIFIED", shown(&change.object))),
            (false, true) => Some(("ADDED", shown(&change.object))),
            (true, false) => {
                // The last selected state, with the version of this change.
                let last = if change.is_removal { Some(&change.object) } else { change.before.as_ref() };
                let mut object = shown(last?);
                object["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(("DELETED", object))
            }
            (false, false) => None,
        }
    }

    /// Sends the present objects as added, if requested.
    async fn first(&self, sender: &mpsc::Sender<Bytes>, is_first: &mut bool) -> Result<u64, ClientGone> {
        let (bookmark, not_before) = match self.start {
            Start::Behind(version) => return Ok(version),
            Start::Now => return Ok(self.store.lock().version),
            Start::There { bookmark, not_before } => (bookmark, not_before),
        };
        self.wait_for(sender, not_before).await?;
        let (objects, version) = {
            let inner = self.store.lock();
            (inner.list(&self.kind, self.namespace.as_deref()), inner.version)
        };
        for object in objects.iter().filter(|object| self.selectors.select(object)) {
            let shown = conversion::to_version(&self.kind, (**object).clone(), &self.version.name);
            self.send(sender, "ADDED", &shown, is_first).await?;
        }
        if bookmark {
            self.send(sender, "BOOKMARK", &self.bookmark(version, true), is_first).await?;
        }
        Ok(version)
    }

    /// Waits briefly for a future version.
    async fn wait_for(&self, sender: &mpsc::Sender<Bytes>, version: u64) -> Result<(), ClientGone> {
        let current = self.store.lock().version;
        if version <= current {
            return Ok(());
        }
        let mut versions = self.store.versions();
        let wait = versions.wait_for(|current| *current >= version);
        if tokio::time::timeout(WAITS_FOR_VERSION, wait).await.is_err() {
            send(sender, "ERROR", &error::too_new(version, current).status()).await?;
            return Err(ClientGone);
        }
        Ok(())
    }

    fn bookmark(&self, version: u64, is_end_of_list: bool) -> Value {
        let blank =
            self.version.strategy.as_ref().filter(|_| !self.kind.traits.is_custom).map(Strategy::blank);
        let mut bookmark = blank.unwrap_or_else(|| json!({}));
        bookmark["apiVersion"] = json!(self.kind.api_version(&self.version.name));
        bookmark["kind"] = json!(self.kind.kind);
        bookmark["metadata"] = json!({"resourceVersion": version.to_string()});
        if is_end_of_list {
            bookmark["metadata"]["annotations"] = json!({END_OF_LIST: "true"});
        }
        bookmark
    }

    async fn send(
        &self,
        sender: &mpsc::Sender<Bytes>,
        what: &str,
        object: &Value,
        is_first: &mut bool,
    ) -> Result<(), ClientGone> {
        let shown = match self.view {
            ObjectView::Table => table::of(&self.kind, &self.version, &self.query, object, false, *is_first)
                .map_err(|_| ClientGone)?,
            ObjectView::Metadata | ObjectView::MetadataList => conversion::partial(object),
            ObjectView::Object | ObjectView::Groups => object.clone(),
        };
        *is_first = false;
        send(sender, what, &shown).await
    }
}

fn start(query: &Query) -> Result<Start, StatusError> {
    let version = match query.get("resourceVersion") {
        Some(version) => Some(parse_version(version).map_err(StatusError::internal)?),
        None => None,
    };
    let has_bookmarks = query.is_set("allowWatchBookmarks");
    Ok(match (query.has("sendInitialEvents"), version) {
        (true, version) if query.is_set("sendInitialEvents") => {
            Start::There { bookmark: has_bookmarks, not_before: version.unwrap_or_default() }
        }
        (true, None | Some(0)) => Start::Now,
        (false, None) => Start::There { bookmark: has_bookmarks, not_before: 0 },
        (false, Some(0)) => Start::There { bookmark: false, not_before: 0 },
        (_, Some(version)) => Start::Behind(version),
    })
}

async fn send(sender: &mpsc::Sender<Bytes>, what: &str, object: &Value) -> Result<(), ClientGone> {
    let line = format!("{}\n", json!({"type": what, "object": object}));
    sender.send(line.into()).await.map_err(|_| ClientGone)
}
