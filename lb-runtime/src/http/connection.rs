//! One connection: its place, its deadlines, and the bodies that it sends.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;

use super::Origin;
use super::table::{Closed, Number, Table};

/// A request that takes too long is answered so before its connection is closed.
const MARGIN: Duration = Duration::from_secs(1);
/// Bytes of a head, and of what is read or written at once.
const BUFFER: usize = 16 << 10;

/// A connection's slot at its server; clones are the same slot. Every request carries it as an extension.
#[derive(Clone, Debug)]
pub struct ConnectionSlot(Arc<Place>);

#[derive(Debug)]
struct Place {
    table: Arc<Table>,
    number: Number,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.remove(self.number);
    }
}

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More than one request may send.
    #[error("the body is too long")]
    TooLong,
    /// More than all may send together.
    #[error("too many bytes are held for other requests; try again")]
    Busy,
    /// The client has gone, or does not speak HTTP.
    #[error("the body cannot be read")]
    Broken,
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response<Body> {
        let status = match self {
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::BAD_REQUEST,
        };
        (status, self.to_string()).into_response()
    }
}

impl ConnectionSlot {
    /// A slot for a new connection; `None` where there is none.
    pub(super) fn take(table: &Arc<Table>, origin: Origin, now: Instant) -> Option<(Self, Closed)> {
        let (number, closed) = table.admit(origin, now)?;
        Some((Self(Arc::new(Place { table: Arc::clone(table), number })), closed))
    }

    /// Reads a body. It counts until the answer to the request is written.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn read(&self, mut body: Body) -> Result<Vec<u8>, BodyError> {
        let reading = async {
            let mut all = Vec::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
                self.make_room(&mut all, data.len())?;
                all.extend_from_slice(&data);
            }
            Ok(all)
        };
        self.queue(reading).await
    }

    /// Waits for something that the server does for others first: meanwhile the connection may have to go for one that
    /// asks for less.
    pub async fn queue<F: Future>(&self, waiting: F) -> F::Output {
        let Place { table, number } = &*self.0;
        table.wait(*number, table.limits.request + MARGIN, Instant::now());
        let output = waiting.await;
        table.work(*number, table.limits.request + MARGIN, Instant::now());
        output
    }

    /// Counts what is allocated, which is more than what has come.
    fn make_room(&self, all: &mut Vec<u8>, more: usize) -> Result<(), BodyError> {
        let Place { table, number } = &*self.0;
        let (length, limit) = (all.len() + more, table.limits.body);
        if length > limit {
            return Err(BodyError::TooLong);
        }
        if length > all.capacity() {
            let capacity = length.max(2 * all.capacity()).clamp(BUFFER.min(limit), limit);
            if !table.hold(*number, capacity - all.capacity()) {
                return Err(BodyError::Busy);
            }
            all.reserve_exact(capacity - all.len());
        }
        Ok(())
    }

    /// Has a request answered, in time.
    async fn answer(
        &self,
        router: &TowerToHyperService<Router>,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
        let Place { table, number } = &*self.0;
        let limits = table.limits;
        table.release(*number);
        table.work(*number, limits.request + MARGIN, Instant::now());
        request.extensions_mut().insert(self.clone());
        let answer = match tokio::time::timeout(limits.request, router.call(request)).await {
            Ok(Ok(answer)) => answer,
            Err(_) => closing(StatusCode::REQUEST_TIMEOUT, "the request was not complete in time"),
        };
        table.release(*number);
        let octets = usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX);
        table.wait(*number, limits.idle, Instant::now());
        if table.hold(*number, octets) { answer } else { BodyError::Busy.into_response() }
    }

    /// Waits until the connection has taken too long over what it is at.
    async fn overdue(&self) {
        let Place { table, number } = &*self.0;
        while let Some(until) = table.until(*number).filter(|until| *until > Instant::now()) {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

fn closing(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut answer = (status, words).into_response();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Serves one connection until it is over, overdue, or has lost its place.
pub(super) async fn serve<S>(
    secured: impl Future<Output = io::Result<S>>,
    slot: ConnectionSlot,
    closed: Closed,
    router: Router,
    // Dropped after the stream.
    _permit: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let exchange = async {
        let stream = secured.await.map_err(|error| error.to_string())?;
        let service = service_fn(async |request| Ok::<_, Infallible>(slot.answer(&router, request).await));
        let mut server = http1::Builder::new();
        server.max_buf_size(BUFFER);
        server.serve_connection(TokioIo::new(stream), service).await.map_err(|error| error.to_string())
    };
    let ended = tokio::select! {
        ended = exchange => ended,
        () = slot.overdue() => Err("the client took too long".to_owned()),
        _ = closed => Err("another client took its place".to_owned()),
    };
    if let Err(error) = ended {
        tracing::debug!(error, "closed a connection to {}", slot.0.table.name);
    }
}
