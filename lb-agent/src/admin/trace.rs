//! Requests about traces.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use lb_plan::plan::ServiceState;
use lb_trace::record::{TraceNames, TraceRequest};
use lb_trace::tracer::TracerError;

use super::AdminState;
use crate::state::AgentState;

/// Bytes of a request at most.
const REQUEST: usize = 4096;

/// Returns the names of nodes and Services as the agent numbers them.
pub(crate) fn names(state: &AgentState) -> TraceNames {
    let nodes = state.nodes.iter().map(|node| (node.index, node.name.to_string())).collect();
    let of = |service: &ServiceState| {
        let name = service.service.to_string();
        service
            .vips
            .iter()
            .filter_map(|vip| vip.number)
            .map(move |number| (number, name.clone()))
            .collect::<Vec<_>>()
    };
    TraceNames {
        own: Some(state.node.clone()),
        nodes,
        services: state.services.iter().flat_map(of).collect(),
        interfaces: BTreeMap::new(),
    }
}

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
