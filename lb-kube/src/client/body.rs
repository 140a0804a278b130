//! Bodies with deadlines.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use kube::client::Body as KubeBody;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::BoxError;

use crate::leadership::{Leadership, NotLeading, Write};

/// The body of a request. One that only the leader may send fails where it does not lead any more: it is asked for right
/// before it is written to the socket, however long the process was stopped or the connection took.
pub(super) struct RequestBody {
    pub(super) body: KubeBody,
    pub(super) may_be_sent: Option<Leadership>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.may_be_sent.as_ref().is_some_and(|leadership| !leadership.may_act()) {
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

/// When the body of an answer fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// It is complete by then.
    pub(super) end: Instant,
    /// The longest silence.
    pub(super) silence: Duration,
}

/// The body of an answer.
pub(super) struct AnswerBody {
    body: Incoming,
    limits: Limits,
    timer: Pin<Box<Sleep>>,
    /// Under way until the answer is complete.
    _write: Option<Write>,
}

/// The server stopped sending.
#[derive(Debug, thiserror::Error)]
#[error("the API server stopped sending its answer")]
struct Silent;

impl AnswerBody {
    pub(super) fn new(body: Incoming, limits: Limits, write: Option<Write>) -> Self {
        let timer = Box::pin(sleep_until(limits.end.min(Instant::now() + limits.silence)));
        Self { body, limits, timer, _write: write }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let Limits { end, silence } = self.limits;
            self.timer.as_mut().reset(end.min(Instant::now() + silence));
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Some(Err(Silent.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
