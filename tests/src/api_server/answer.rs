//! Responses and their encoding.

use std::io::Write;

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY, WARNING};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::negotiate::{AcceptedMedia, accept};
use super::status_error::StatusError;
use super::text::BodyEncoding;
use super::yaml;

/// The length from which a response is compressed.
const LONG: usize = 128 << 10;
const TEXT: &str = "text/plain; charset=utf-8";

/// Status and body of a response.
pub(super) type StatusAndBody = (u16, Value);

/// A response.
pub(super) enum ApiResponse {
    Object(u16, Value),
    /// Status and text.
    Text(u16, String),
    /// Status without a body.
    Bare(u16),
    /// JSON of a parametrized media type, with its `Vary` header.
    Typed {
        content_type: &'static str,
        vary: Option<&'static str>,
        body: Value,
    },
    /// A stream.
    Stream(Response),
}

impl ApiResponse {
    /// Returns the response for an unknown path.
    pub(super) fn no_page() -> Self {
        Self::Text(404, "404 page not found\n".to_owned())
    }
}

pub(super) fn encode(
    answer: Result<ApiResponse, StatusError>,
    warnings: &[String],
    headers: &HeaderMap,
    method: &Method,
) -> Response {
    let encoding = AcceptedMedia::encoding_of_errors(accept(headers));
    let mut response = match answer {
        Ok(ApiResponse::Object(status, object)) => written(status, &object, encoding, headers),
        Ok(ApiResponse::Text(status, text)) => with_type(status, TEXT, text.into_bytes()),
        Ok(ApiResponse::Bare(status)) => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            response
        }
        Ok(ApiResponse::Typed { content_type, vary, body }) => {
            let mut response = with_type(200, content_type, body.to_string().into_bytes());
            set(&mut response, VARY, vary);
            response
        }
        Ok(ApiResponse::Stream(response)) => response,
        Err(error_status) => refused(&error_status, encoding, headers),
    };
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

fn refused(error_status: &StatusError, encoding: BodyEncoding, headers: &HeaderMap) -> Response {
    let mut status = error_status.status();
    // The continue token goes to the metadata, as in lists.
    if let Some(token) = error_status.details.as_ref().and_then(|details| details.get("continue")) {
        status["metadata"]["continue"] = token.clone();
        status.as_object_mut().map(|fields| fields.remove("details"));
    }
    let mut response = written(error_status.code, &status, encoding, headers);
    let retry = error_status.details.as_ref().and_then(|details| details.get("retryAfterSeconds"));
    set(&mut response, RETRY_AFTER, retry.map(Value::to_string).as_deref());
    response
}

fn set(response: &mut Response, name: axum::http::HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        response.headers_mut().insert(name, value);
    }
}

fn written(status: u16, object: &Value, encoding: BodyEncoding, headers: &HeaderMap) -> Response {
    let (content_type, body) = match encoding {
        BodyEncoding::Json => ("application/json", object.to_string()),
        BodyEncoding::Yaml => ("application/yaml", yaml::write(object)),
    };
    let takes_gzip = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let takes_gzip = takes_gzip.is_some_and(|encodings| encodings.split(',').any(|e| e.trim() == "gzip"));
    if !takes_gzip || status != 200 || body.len() < LONG {
        return with_type(status, content_type, body.into_bytes());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    match encoder.write_all(body.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(compressed) => {
            let mut response = with_type(status, content_type, compressed);
            set(&mut response, CONTENT_ENCODING, Some("gzip"));
            set(&mut response, VARY, Some("Accept-Encoding"));
            response
        }
        // Writing to memory cannot fail.
        Err(_) => with_type(status, content_type, body.into_bytes()),
    }
}

fn with_type(status: u16, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
