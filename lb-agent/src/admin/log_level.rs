//! Requests about the log.

use std::sync::Arc;

use axum::Json;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::AdminState;
use lb_runtime::logging::{self, LogLevel, LogLevelError, LogLevelRequest};

/// Bytes of a request at most.
const REQUEST: usize = 4096;

/// Shows the filter of the log, or changes it: `GET`, `PUT`.
pub(super) fn log_level() -> MethodRouter<Arc<AdminState>> {
    get(show).put(change).layer(DefaultBodyLimit::max(REQUEST))
}

async fn show() -> Response {
    respond(logging::control().map(logging::LogControl::level))
}

async fn change(Json(request): Json<LogLevelRequest>) -> Response {
    respond(logging::control().and_then(|control| control.set(&request)))
}

fn respond(level: Result<LogLevel, LogLevelError>) -> Response {
    match level {
        Ok(level) => Json(level).into_response(),
        Err(error @ LogLevelError::NoControl) => {
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}
