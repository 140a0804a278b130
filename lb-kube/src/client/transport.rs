//! Deadlines of requests, permission to write, and one log line where a server cannot be reached.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use kube::client::Body as KubeBody;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service};

use super::body::{AnswerBody, Limits, RequestBody};
use super::stats::stats;
use crate::leadership::{Leadership, NotLeading, Write};

/// A watch has begun to answer by then: a server that has just started first fills its caches.
const WATCH_BEGINS_WITHIN: Duration = Duration::from_secs(30);
/// A watch that has been silent for this long is dead: servers send a bookmark about every minute.
const WATCH_SILENCE: Duration = Duration::from_secs(100);
/// How long a watch may be late to end.
const WATCH_ENDS_LATE: Duration = Duration::from_secs(15);
/// A watch that names no end of its own.
const WATCH_LASTS: Duration = Duration::from_secs(3600);

/// A service of requests within limits.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    answer_within: Duration,
    leadership: Option<Leadership>,
    /// Whether the last request was answered. While it was not, one request after the other is sent: many at once would
    /// each open a connection, before any of them knows that one is enough.
    answers: AtomicBool,
    turn: Mutex<()>,
}

/// A request failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer from {server} within {seconds} s")]
    Late { server: String, seconds: u64 },
    #[error("cannot reach {server}")]
    Unreachable { server: String, source: BoxError },
}

impl<S> Guarded<S> {
    /// With a leadership, sends writes only while this process leads.
    pub(super) fn new(
        inner: S,
        server: String,
        answer_within: Duration,
        leadership: Option<Leadership>,
    ) -> Self {
        let (answers, turn) = (AtomicBool::new(false), Mutex::default());
        Self { inner, shared: Arc::new(Shared { server, answer_within, leadership, answers, turn }) }
    }
}

impl<S> Service<Request<KubeBody>> for Guarded<S>
where
    S: Service<Request<RequestBody>, Response = Response<Incoming>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<KubeBody>) -> Self::Future {
        // The one that is ready is the one that is called.
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        Box::pin(send(inner, Arc::clone(&self.shared), request))
    }
}

async fn send<S>(
    mut inner: S,
    shared: Arc<Shared>,
    request: Request<KubeBody>,
) -> Result<Response<AnswerBody>, BoxError>
where
    S: Service<Request<RequestBody>, Response = Response<Incoming>>,
    S::Error: Into<BoxError>,
{
    let limits = AnswerLimits::of(&request, shared.answer_within);
    let is_write = request.method() != Method::GET;
    let leadership = shared.leadership.as_ref().filter(|_| is_write);
    let write =
        leadership.map(|it| it.begin().ok_or(NotLeading)).transpose().inspect_err(|_| stats().refused())?;
    let may_be_sent = leadership.cloned();
    let request = request.map(|body| RequestBody { body, may_be_sent });
    let begun = Instant::now();
    let end = begun + limits.head;
    let server = || shared.server.clone();
    let answering = async {
        let mut turn = None;
        if !shared.answers.load(Ordering::Relaxed) {
            turn = Some(shared.turn.lock().await);
        }
        // Whoever had the turn before may have been answered.
        if shared.answers.load(Ordering::Relaxed) {
            turn = None;
        }
        let answer = inner.call(request).await;
        shared.answers.store(answer.is_ok(), Ordering::Relaxed);
        drop(turn);
        answer
    };
    let failure = match timeout_at(end, answering).await {
        Ok(Ok(answer)) => {
            return Ok(handle_answer(&shared, answer, is_write, limits.body(begun), write));
        }
        Ok(Err(source)) => Failure::Unreachable { server: server(), source: source.into() },
        Err(_) => Failure::Late { server: server(), seconds: limits.head.as_secs() },
    };
    shared.answers.store(false, Ordering::Relaxed);
    stats().unreachable(&shared.server, &failure);
    Err(failure.into())
}

fn handle_answer(
    shared: &Shared,
    answer: Response<Incoming>,
    is_write: bool,
    limits: Limits,
    write: Option<Write>,
) -> Response<AnswerBody> {
    stats().answered(&shared.server, answer.status());
    if is_write && answer.status() == StatusCode::CONFLICT {
        stats().conflict();
    }
    answer.map(|body| AnswerBody::new(body, limits, write))
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AnswerLimits {
    head: Duration,
    silence: Duration,
    all: Duration,
}

impl AnswerLimits {
    fn of<B>(request: &Request<B>, answer_within: Duration) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        if value("watch").is_none() {
            return Self { head: answer_within, silence: answer_within, all: answer_within };
        }
        let lasts = value("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        let lasts = lasts.map_or(WATCH_LASTS, Duration::from_secs);
        Self { head: WATCH_BEGINS_WITHIN, silence: WATCH_SILENCE, all: lasts + WATCH_ENDS_LATE }
    }

    fn body(self, begun: Instant) -> Limits {
        Limits { end: begun + self.all, silence: self.silence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_may_take_as_long_as_it_asks_for_and_all_else_may_not() -> Result<(), BoxError> {
        let limits = |uri: &str| {
            let request = Request::builder().uri(uri).body(())?;
            Ok::<_, BoxError>(AnswerLimits::of(&request, Duration::from_secs(8)).all.as_secs())
        };
        assert_eq!(limits("/api/v1/nodes?allowWatchBookmarks=true&timeoutSeconds=290&watch=true")?, 305);
        assert_eq!(limits("/api/v1/nodes?watch=true")?, 3615);
        assert_eq!(limits("/api/v1/nodes?limit=500")?, 8);
        assert_eq!(limits("/api/v1/nodes/n")?, 8);
        Ok(())
    }
}
