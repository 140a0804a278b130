//! The transport of requests: deadlines, the leader check of writes, one log line if a server is unreachable.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, Uri};
use kube::client::Body as KubeBody;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service};

use super::body::{BodyDeadlines, RequestBody, ResponseBody};
use super::stats::stats;
use crate::leadership::{InFlightWrite, Leadership, NotLeading};

/// Timeout for the response headers of a watch: a server that has just started first fills its caches.
const WATCH_START_TIMEOUT: Duration = Duration::from_secs(30);
/// A watch that is idle for this long has failed: servers send a bookmark about every minute.
const WATCH_IDLE_TIMEOUT: Duration = Duration::from_secs(100);
/// Time by which a watch may outlast its timeout.
const WATCH_GRACE: Duration = Duration::from_secs(15);
/// Timeout of a watch that sets none.
const DEFAULT_WATCH_TIMEOUT: Duration = Duration::from_secs(3600);

/// A tower service that sends requests to one server.
#[derive(Clone)]
pub(super) struct Transport<S> {
    inner: S,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    timeout: Duration,
    leadership: Option<Leadership>,
    /// Whether the last request was answered. While it was not, requests are sent one at a time: many at once
    /// would each open a connection before any of them finds that one suffices.
    is_reachable: AtomicBool,
    one_at_a_time: Mutex<()>,
}

/// A request got no response.
#[derive(Debug, thiserror::Error)]
enum TransportError {
    #[error("no response from {server} within {seconds} s")]
    Timeout { server: String, seconds: u64 },
    #[error("cannot reach {server}")]
    Unreachable { server: String, source: BoxError },
}

impl<S> Transport<S> {
    /// Creates a transport; with a leadership, it sends writes only while this process leads.
    pub(super) fn new(inner: S, server: String, timeout: Duration, leadership: Option<Leadership>) -> Self {
        let (is_reachable, one_at_a_time) = (AtomicBool::new(false), Mutex::default());
        let shared = Shared { server, timeout, leadership, is_reachable, one_at_a_time };
        Self { inner, shared: Arc::new(shared) }
    }
}

impl<S> Service<Request<KubeBody>> for Transport<S>
where
    S: Service<Request<RequestBody>, Response = Response<Incoming>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<KubeBody>) -> Self::Future {
        // `poll_ready` was called on this instance, not on its clone.
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        Box::pin(send(inner, Arc::clone(&self.shared), request))
    }
}

async fn send<S>(
    mut inner: S,
    shared: Arc<Shared>,
    request: Request<KubeBody>,
) -> Result<Response<ResponseBody>, BoxError>
where
    S: Service<Request<RequestBody>, Response = Response<Incoming>>,
    S::Error: Into<BoxError>,
{
    let deadlines = RequestDeadlines::of(&request, shared.timeout);
    let is_write = request.method() != Method::GET;
    let watched = watched_kind(request.uri());
    let leadership = shared.leadership.as_ref().filter(|_| is_write);
    let write = leadership
        .map(|it| it.begin().ok_or(NotLeading))
        .transpose()
        .inspect_err(|_| stats().not_leading())?;
    let leadership = leadership.cloned();
    let request = request.map(|body| RequestBody { body, leadership });
    let start = Instant::now();
    let server = || shared.server.clone();
    let response = async {
        let mut lock = None;
        if !shared.is_reachable.load(Ordering::Relaxed) {
            lock = Some(shared.one_at_a_time.lock().await);
        }
        // The request that held the lock before may have been answered.
        if shared.is_reachable.load(Ordering::Relaxed) {
            lock = None;
        }
        let response = inner.call(request).await;
        shared.is_reachable.store(response.is_ok(), Ordering::Relaxed);
        drop(lock);
        response
    };
    let error = match timeout_at(start + deadlines.head, response).await {
        Ok(Ok(response)) => {
            if let Some(plural) = watched.filter(|_| response.status().is_success()) {
                stats().watch_started(&plural);
            }
            return Ok(handle_response(&shared, response, is_write, deadlines.body(start), write));
        }
        Ok(Err(source)) => TransportError::Unreachable { server: server(), source: source.into() },
        Err(_) => TransportError::Timeout { server: server(), seconds: deadlines.head.as_secs() },
    };
    shared.is_reachable.store(false, Ordering::Relaxed);
    stats().unreachable(&shared.server, &error);
    Err(error.into())
}

/// Returns the plural of the kind that a request watches.
fn watched_kind(uri: &Uri) -> Option<String> {
    let is_watch = uri.query()?.split('&').any(|pair| pair.starts_with("watch="));
    let plural = uri.path().rsplit('/').next().map(str::to_owned);
    plural.filter(|_| is_watch)
}

fn handle_response(
    shared: &Shared,
    response: Response<Incoming>,
    is_write: bool,
    deadlines: BodyDeadlines,
    write: Option<InFlightWrite>,
) -> Response<ResponseBody> {
    stats().answered(&shared.server, response.status());
    if is_write && response.status() == StatusCode::CONFLICT {
        stats().conflict();
    }
    response.map(|body| ResponseBody::new(body, deadlines, write))
}

/// The deadlines of a response, as times from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RequestDeadlines {
    head: Duration,
    idle: Duration,
    total: Duration,
}

impl RequestDeadlines {
    fn of<B>(request: &Request<B>, timeout: Duration) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        if value("watch").is_none() {
            return Self { head: timeout, idle: timeout, total: timeout };
        }
        let timeout = value("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        let timeout = timeout.map_or(DEFAULT_WATCH_TIMEOUT, Duration::from_secs);
        Self { head: WATCH_START_TIMEOUT, idle: WATCH_IDLE_TIMEOUT, total: timeout + WATCH_GRACE }
    }

    fn body(self, start: Instant) -> BodyDeadlines {
        BodyDeadlines { end: start + self.total, idle: self.idle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_may_last_for_its_timeout_and_other_requests_have_a_fixed_one() -> Result<(), BoxError> {
        let total = |uri: &str| {
            let request = Request::builder().uri(uri).body(())?;
            Ok::<_, BoxError>(RequestDeadlines::of(&request, Duration::from_secs(8)).total.as_secs())
        };
        assert_eq!(total("/api/v1/nodes?allowWatchBookmarks=true&timeoutSeconds=290&watch=true")?, 305);
        assert_eq!(total("/api/v1/nodes?watch=true")?, 3615);
        assert_eq!(total("/api/v1/nodes?limit=500")?, 8);
        assert_eq!(total("/api/v1/nodes/n")?, 8);
        Ok(())
    }

    #[test]
    fn a_watch_names_its_kind_by_the_plural() {
        let kind = |uri: &'static str| watched_kind(&Uri::from_static(uri));
        let path = "/apis/metallb.io/v1beta1/namespaces/s/communities?allowWatchBookmarks=true&watch=true";
        assert_eq!(kind(path).as_deref(), Some("communities"));
        assert_eq!(kind("/api/v1/nodes?watch=true").as_deref(), Some("nodes"));
        assert_eq!(kind("/api/v1/nodes?limit=500"), None);
        assert_eq!(kind("/api/v1/nodes"), None);
    }
}
