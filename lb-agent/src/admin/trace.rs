//! Requests about traces.

use std::sync::Arc;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use super::AdminState;
use crate::trace::TraceRequest;
use crate::trace::tracer::TracerError;

/// Bytes of a request at most.
const REQUEST: usize = 4096;

/// Begins traces: `POST`.
pub(super) fn traces() -> MethodRouter<Arc<AdminState>> {
    post(begin).layer(DefaultBodyLimit::max(REQUEST))
}

/// Reads a trace, or ends it: `GET`, `DELETE`.
pub(super) fn trace() -> MethodRouter<Arc<AdminState>> {
    get(read).delete(end)
}

async fn begin(State(state): State<Arc<AdminState>>, Json(request): Json<TraceRequest>) -> Response {
    respond(state.tracer.begin(&request).await.map(Json))
}

async fn read(State(state): State<Arc<AdminState>>, Path(id): Path<u64>) -> Response {
    respond(state.tracer.read(id).await.map(Json))
}

async fn end(State(state): State<Arc<AdminState>>, Path(id): Path<u64>) -> Response {
    respond(state.tracer.end(id).await.map(Json))
}

fn respond(result: Result<impl IntoResponse, TracerError>) -> Response {
    match result {
        Ok(answer) => answer.into_response(),
        Err(error) => (status(&error), error.to_string()).into_response(),
    }
}

const fn status(error: &TracerError) -> StatusCode {
    match error {
        TracerError::Request(_) => StatusCode::BAD_REQUEST,
        TracerError::Busy(_) => StatusCode::CONFLICT,
        TracerError::Ended => StatusCode::GONE,
        TracerError::NoSwitch => StatusCode::SERVICE_UNAVAILABLE,
        TracerError::Program(_) | TracerError::Attach(_) | TracerError::System(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
