//! What went wrong, as the real server says it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No such kind, or no such object.
    NotFound(String),
    /// The object is there already.
    AlreadyExists(String),
    /// The object has changed since the client read it.
    Conflict(String),
    /// The watched version is too old.
    Gone,
    /// The request makes no sense.
    BadRequest(String),
    /// What is asked for is not to be had here.
    Invalid(String),
    /// The verb is not for this.
    NotAllowed,
    /// The server has been told to fail.
    Broken,
    /// The server has been told to answer this.
    Injected(u16),
}

impl Failure {
    fn parts(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::NotFound(what) => (StatusCode::NOT_FOUND, "NotFound", format!("{what} not found")),
            Self::AlreadyExists(what) => {
                (StatusCode::CONFLICT, "AlreadyExists", format!("{what} already exists"))
            }
            Self::Conflict(what) => {
                let words = format!(
                    "{what}: the object has been modified; please apply your changes to the latest version"
                );
                (StatusCode::CONFLICT, "Conflict", words)
            }
            Self::Gone => (StatusCode::GONE, "Expired", "too old resource version".to_owned()),
            Self::BadRequest(words) => (StatusCode::BAD_REQUEST, "BadRequest", words.clone()),
            Self::Invalid(words) => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid", words.clone()),
            Self::NotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "this verb is not for this".to_owned())
            }
            Self::Injected(status) => injected(*status),
            Self::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "it is broken".to_owned()),
        }
    }

    /// The `Status` object that tells it.
    pub(super) fn status(&self) -> Value {
        let (code, reason, message) = self.parts();
        json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code.as_u16(),
        })
    }
}

/// What a server says that is too busy, or not well.
fn injected(status: u16) -> (StatusCode, &'static str, String) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (reason, words) = match status.as_u16() {
        410 => ("Expired", "The resourceVersion for the provided list is too old."),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    };
    (status, reason, words.to_owned())
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let retry = (self.parts().0 == StatusCode::TOO_MANY_REQUESTS).then_some([("Retry-After", "1")]);
        (self.parts().0, retry, Json(self.status())).into_response()
    }
}
