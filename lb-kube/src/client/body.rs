//! Request and response bodies with deadlines.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use kube::client::Body as KubeBody;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::BoxError;

use crate::leadership::{InFlightWrite, Leadership, NotLeading};

/// The body of a request. With a leadership, it fails if this process no longer leads: it is polled right
/// before it is written to the socket, however long the process was stopped or connecting took.
pub(super) struct RequestBody {
    pub(super) body: KubeBody,
    pub(super) leadership: Option<Leadership>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.leadership.as_ref().is_some_and(|leadership| !leadership.is_leader()) {
            return Poll::Ready(Some(Err(NotLeading.into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The deadlines of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyDeadlines {
    /// The body is complete by then.
    pub(super) end: Instant,
    /// Maximum time between two frames.
    pub(super) idle: Duration,
}

/// The body of a response.
pub(super) struct ResponseBody {
    body: Incoming,
    deadlines: BodyDeadlines,
    timer: Pin<Box<Sleep>>,
    /// In flight until the response is complete.
    _write: Option<InFlightWrite>,
}

/// The server stopped sending the body.
#[derive(Debug, thiserror::Error)]
#[error("the API server stopped sending its response")]
struct Stalled;

impl ResponseBody {
    pub(super) fn new(body: Incoming, deadlines: BodyDeadlines, write: Option<InFlightWrite>) -> Self {
        let timer = Box::pin(sleep_until(deadlines.end.min(Instant::now() + deadlines.idle)));
        Self { body, deadlines, timer, _write: write }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let BodyDeadlines { end, idle } = self.deadlines;
            self.timer.as_mut().reset(end.min(Instant::now() + idle));
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Some(Err(Stalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
