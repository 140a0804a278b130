//! One connection: its slot, its deadlines, and the request bodies that it sends.

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

use super::listener::ClientKey;
use super::table::{ConnectionId, ConnectionTable, Evicted};

/// The time between the 408 response to an overdue request and the closing of its connection.
const MARGIN: Duration = Duration::from_secs(1);
/// Bytes of a head, and of one read or write.
const BUFFER: usize = 16 << 10;

/// A connection's slot in its server's table; clones are the same slot. Every request carries it as an
/// extension.
#[derive(Clone, Debug)]
pub struct ConnectionSlot(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    table: Arc<ConnectionTable>,
    id: ConnectionId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.table.remove(self.id);
    }
}

/// The reason why a request body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body is longer than one request may send.
    #[error("the request body is too long")]
    TooLong,
    /// All requests together hold too many bytes.
    #[error("the server holds too many bytes for other requests; try again")]
    Busy,
    /// The client has disconnected, or violates HTTP.
    #[error("cannot read the request body")]
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
    /// Takes a slot for a new connection; `None` if the server is full.
    pub(super) fn take(
        table: &Arc<ConnectionTable>,
        client: ClientKey,
        now: Instant,
    ) -> Option<(Self, Evicted)> {
        let (id, evicted) = table.admit(client, now)?;
        Some((Self(Arc::new(Slot { table: Arc::clone(table), id })), evicted))
    }

    /// Reads a request body. Its bytes count until the response is written.
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

    /// Waits for something that the server does for others first. Meanwhile the connection may be evicted for
    /// one that holds less.
    pub async fn queue<F: Future>(&self, waiting: F) -> F::Output {
        let Slot { table, id } = &*self.0;
        table.wait(*id, table.limits.request + MARGIN, Instant::now());
        let output = waiting.await;
        table.work(*id, table.limits.request + MARGIN, Instant::now());
        output
    }

    /// Counts the bytes that are allocated, which exceed the bytes received.
    fn make_room(&self, all: &mut Vec<u8>, more: usize) -> Result<(), BodyError> {
        let Slot { table, id } = &*self.0;
        let (length, limit) = (all.len() + more, table.limits.body);
        if length > limit {
            return Err(BodyError::TooLong);
        }
        if length > all.capacity() {
            let capacity = length.max(2 * all.capacity()).clamp(BUFFER.min(limit), limit);
            if !table.hold(*id, capacity - all.capacity()) {
                return Err(BodyError::Busy);
            }
            all.reserve_exact(capacity - all.len());
        }
        Ok(())
    }

    /// Handles a request within the time limit.
    async fn handle(
        &self,
        router: &TowerToHyperService<Router>,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
        let Slot { table, id } = &*self.0;
        let limits = table.limits;
        table.release(*id);
        table.work(*id, limits.request + MARGIN, Instant::now());
        request.extensions_mut().insert(self.clone());
        let response = match tokio::time::timeout(limits.request, router.call(request)).await {
            Ok(Ok(response)) => response,
            Err(_) => closing(StatusCode::REQUEST_TIMEOUT, "the request was not completed in time"),
        };
        table.release(*id);
        let octets = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        table.wait(*id, limits.idle, Instant::now());
        if table.hold(*id, octets) { response } else { BodyError::Busy.into_response() }
    }

    /// Waits until the connection has missed the deadline of its current step.
    async fn overdue(&self) {
        let Slot { table, id } = &*self.0;
        while let Some(deadline) = table.deadline(*id).filter(|deadline| *deadline > Instant::now()) {
            tokio::time::sleep_until(deadline.into()).await;
        }
    }
}

fn closing(status: StatusCode, message: &'static str) -> Response<Body> {
    let mut response = (status, message).into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Serves one connection until it ends, is overdue, or has been evicted.
pub(super) async fn serve<S>(
    secured: impl Future<Output = io::Result<S>>,
    slot: ConnectionSlot,
    evicted: Evicted,
    router: Router,
    // Dropped after the stream.
    _permit: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let exchange = async {
        let stream = secured.await.map_err(|error| error.to_string())?;
        let service = service_fn(async |request| Ok::<_, Infallible>(slot.handle(&router, request).await));
        let mut server = http1::Builder::new();
        server.max_buf_size(BUFFER);
        server.serve_connection(TokioIo::new(stream), service).await.map_err(|error| error.to_string())
    };
    let ended = tokio::select! {
        ended = exchange => ended,
        () = slot.overdue() => Err("the client was too slow".to_owned()),
        _ = evicted => Err("evicted for another client".to_owned()),
    };
    if let Err(error) = ended {
        tracing::debug!(error, "closed a connection to {}", slot.0.table.name);
    }
}
