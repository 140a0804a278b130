//! A watch: changes as they come, a line each.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::call::{check_list, number, parse_version};
use super::error;
use super::form::Form;
use super::kinds::{Kind, Version};
use super::negotiate::{Notation, View, Wanted};
use super::refusal::{Cause, Refusal};
use super::request::{Query, Target};
use super::respond::accept;
use super::selectors::Selectors;
use super::shape;
use super::store::{Change, Store, is_of};
use super::table;

/// How often a watch is told that nothing has changed for it.
const BOOKMARKS_EVERY: Duration = Duration::from_secs(1);
/// How long a stream of what is there waits for a version that is not yet.
const WAITS_FOR_VERSION: Duration = Duration::from_secs(3);
/// Longest watch, where the client has not said.
const LONGEST: Duration = Duration::from_secs(3000);
const END_OF_LIST: &str = "k8s.io/initial-events-end";

/// A watch, and how far it has told.
pub(super) struct Watch {
    store: Arc<Store>,
    kind: Arc<Kind>,
    version: Version,
    namespace: Option<String>,
    query: Query,
    selectors: Selectors,
    view: View,
    start: Start,
    has_bookmarks: bool,
    ends: Instant,
}

/// Where a watch begins.
#[derive(Clone, Copy)]
enum Start {
    /// With what is there; `bookmark`: and the word that this was all.
    There { bookmark: bool, not_before: u64 },
    /// Behind a version.
    Behind(u64),
    /// With what comes from now on.
    Now,
}

/// The client is gone, or has been told all.
struct Left;

impl Watch {
    /// An answer that goes on until the client leaves, its time is over, or the server ends.
    pub(super) fn begin(
        store: &Arc<Store>,
        kind: Arc<Kind>,
        target: Target,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let wanted = Wanted::for_objects(accept(headers), kind.habits.is_custom)?;
        if wanted.notation == Notation::Yaml {
            let offered = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
            let message =
                format!("only the following media types are accepted: {}", offered.replace(", ", ","));
            return Err(error::not_acceptable(message.replace("watch,", "watch, "), None));
        }
        check_list(query, true)?;
        if query.has("sendInitialEvents") && !store.streams() {
            let cause = Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for watch");
            return Err(error::invalid_options("ListOptions", &[cause]));
        }
        let fields = match &target.name {
            Some(name) => format!("metadata.name={name}"),
            None => query.get("fieldSelector").unwrap_or_default().to_owned(),
        };
        let selectors = Selectors::parse(query.get("labelSelector").unwrap_or_default(), &fields, &kind)
            .map_err(Refusal::bad_request)?;
        let seconds = number(query, "timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = seconds.filter(|seconds| *seconds > 0).map_or(LONGEST, Duration::from_secs);
        let version = kind.version(&target.version).cloned().ok_or_else(error::no_route)?;
        let watch = Self {
            store: Arc::clone(store),
            start: start(query)?,
            namespace: target.namespace,
            has_bookmarks: query.is_set("allowWatchBookmarks"),
            ends: Instant::now() + lasts,
            view: wanted.view,
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
        let mut is_first = true;
        let mut told = self.first(sender, &mut is_first).await?;
        let mut bookmark = Instant::now() + BOOKMARKS_EVERY;
        loop {
            self.store.faults().resumed().await;
            versions.borrow_and_update();
            told = self.tell(sender, told, &mut is_first).await?;
            if self.is_over() {
                return Ok(());
            }
            tokio::select! {
                changed = versions.changed() => changed.map_err(|_| Left)?,
                () = sender.closed() => return Err(Left),
                () = sleep_until(self.ends) => return Ok(()),
                () = sleep_until(bookmark), if self.has_bookmarks => {
                    let (version, now) = (self.store.lock().version, Instant::now());
                    bookmark = now + BOOKMARKS_EVERY;
                    told = self.tell(sender, told, &mut is_first).await?;
                    if told >= version {
                        self.send(sender, "BOOKMARK", &self.bookmark(told, false), &mut is_first).await?;
                    }
                }
            }
        }
    }

    /// Whether what is watched is there no more.
    fn is_over(&self) -> bool {
        self.store
            .kind(&self.kind.group, &self.kind.plural)
            .is_none_or(|kind| kind.version(&self.version.name).is_none())
    }

    /// What has happened since a version; then how far this goes.
    async fn tell(&self, sender: &mpsc::Sender<Bytes>, told: u64, is_first: &mut bool) -> Result<u64, Left> {
        let news = {
            let inner = self.store.lock();
            let news = inner.since(told).map(|changes| {
                let own = changes.iter().filter(|c| is_of(&c.key, &self.kind, self.namespace.as_deref()));
                own.cloned().collect::<Vec<Change>>()
            });
            news.map(|news| (news, inner.version.max(told))).map_err(|forgotten| forgotten.oldest)
        };
        match news {
            Ok((news, version)) => {
                for change in &news {
                    if let Some((what, object)) = self.seen(change) {
                        self.send(sender, what, &object, is_first).await?;
                    }
                }
                Ok(version)
            }
            Err(oldest) => {
                let words = format!("too old resource version: {told} ({oldest})");
                send(sender, "ERROR", &error::expired(words).status()).await?;
                Err(Left)
            }
        }
    }

    /// What a change is to who selects: an object may come to be selected, or cease to be.
    fn seen(&self, change: &Change) -> Option<(&'static str, Value)> {
        let was = change.before.as_ref().is_some_and(|before| self.selectors.select(before));
        let is = !change.is_removal && self.selectors.select(&change.object);
        let shown = |object: &Value| shape::to_version(&self.kind, object.clone(), &self.version.name);
        match (was, is) {
            (true, true) => Some(("MODIFIED", shown(&change.object))),
            (false, true) => Some(("ADDED", shown(&change.object))),
            (true, false) => {
                // As it was when it was last seen, with the version of this change.
                let last = if change.is_removal { Some(&change.object) } else { change.before.as_ref() };
                let mut object = shown(last?);
                object["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(("DELETED", object))
            }
            (false, false) => None,
        }
    }

    /// All that is there, as if it had just come, if it is asked for.
    async fn first(&self, sender: &mpsc::Sender<Bytes>, is_first: &mut bool) -> Result<u64, Left> {
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
            let shown = shape::to_version(&self.kind, (**object).clone(), &self.version.name);
            self.send(sender, "ADDED", &shown, is_first).await?;
        }
        if bookmark {
            self.send(sender, "BOOKMARK", &self.bookmark(version, true), is_first).await?;
        }
        Ok(version)
    }

    /// Waits for a version that is not yet, but not for long.
    async fn wait_for(&self, sender: &mpsc::Sender<Bytes>, version: u64) -> Result<(), Left> {
        let current = self.store.lock().version;
        if version <= current {
            return Ok(());
        }
        let mut versions = self.store.versions();
        let wait = versions.wait_for(|current| *current >= version);
        if tokio::time::timeout(WAITS_FOR_VERSION, wait).await.is_err() {
            send(sender, "ERROR", &error::too_new(version, current).status()).await?;
            return Err(Left);
        }
        Ok(())
    }

    fn bookmark(&self, version: u64, is_end_of_list: bool) -> Value {
        let blank = self.version.form.as_ref().filter(|_| !self.kind.habits.is_custom).map(Form::blank);
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
    ) -> Result<(), Left> {
        let shown = match self.view {
            View::Table => table::of(&self.kind, &self.version, &self.query, object, false, *is_first)
                .map_err(|_| Left)?,
            View::Metadata | View::MetadataList => shape::partial(object),
            View::Object | View::Groups => object.clone(),
        };
        *is_first = false;
        send(sender, what, &shown).await
    }
}

fn start(query: &Query) -> Result<Start, Refusal> {
    let version = match query.get("resourceVersion") {
        Some(version) => Some(parse_version(version).map_err(Refusal::internal)?),
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

async fn send(sender: &mpsc::Sender<Bytes>, what: &str, object: &Value) -> Result<(), Left> {
    let line = format!("{}\n", json!({"type": what, "object": object}));
    sender.send(line.into()).await.map_err(|_| Left)
}
