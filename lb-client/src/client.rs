//! An HTTP client for the agent's admin socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// Limit for a status: longer than any agent takes that is not stuck.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why a request to the agent failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminClientError {
    /// No agent listens on the socket.
    #[error("cannot connect to the agent on {}: {source}; is `fairlead agent` running with this --socket?", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The kernel's error.
        source: std::io::Error,
    },
    /// The agent did not answer in time.
    #[error("the agent on {} did not answer within {} s", .path.display(), .limit.as_secs())]
    TimedOut {
        /// The socket.
        path: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// The connection failed before the end of the response.
    #[error("the agent did not complete its response: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("{path:?} is no request: {error}")]
    Request {
        /// Its path.
        path: String,
        /// The reason.
        error: hyper::http::Error,
    },
    /// The agent refused the request.
    #[error("the agent refused the request: {0}")]
    Refused(String),
    /// The response is not one of an agent of this version.
    #[error("cannot parse the agent's response ({0}); is it of another version than this command?")]
    Response(#[from] serde_json::Error),
}

/// Sends a request to the agent and returns the body of its response.
///
/// # Errors
/// When the request fails, or the response cannot be parsed.
pub fn request(socket: &Path, method: &Method, path: &str) -> Result<Bytes, AdminClientError> {
    runtime(socket)?.block_on(connect_and_exchange(socket, method, path, Bytes::new()))
}

/// Like [`request`], with a limit for the response.
///
/// # Errors
/// As [`request`], and when there is no response in time.
pub fn request_within(
    socket: &Path,
    method: &Method,
    path: &str,
    limit: Duration,
) -> Result<Bytes, AdminClientError> {
    runtime(socket)?.block_on(async {
        let response =
            tokio::time::timeout(limit, connect_and_exchange(socket, method, path, Bytes::new())).await;
        response.unwrap_or_else(|_| Err(AdminClientError::TimedOut { path: socket.to_path_buf(), limit }))
    })
}

/// Sends a request with a JSON body; an empty one is none.
///
/// # Errors
/// As [`request`].
pub async fn send(
    socket: &Path,
    method: &Method,
    path: &str,
    body: Bytes,
) -> Result<Bytes, AdminClientError> {
    connect_and_exchange(socket, method, path, body).await
}

/// Returns a runtime for requests to this socket.
///
/// # Errors
/// When the kernel refuses what it needs.
pub fn runtime(socket: &Path) -> Result<Runtime, AdminClientError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|source| AdminClientError::Connect { path: socket.to_path_buf(), source })
}

async fn connect_and_exchange(
    socket: &Path,
    method: &Method,
    path: &str,
    body: Bytes,
) -> Result<Bytes, AdminClientError> {
    let connect = |source| AdminClientError::Connect { path: socket.to_path_buf(), source };
    let stream = UnixStream::connect(socket).await.map_err(connect)?;
    exchange(stream, method, path, body).await
}

async fn exchange(
    stream: UnixStream,
    method: &Method,
    path: &str,
    body: Bytes,
) -> Result<Bytes, AdminClientError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(HOST, "fairlead");
    let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body));
    let request = request.map_err(|error| AdminClientError::Request { path: path.to_owned(), error })?;
    let response = sender.send_request(request).await?;
    let code = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    if code.is_success() {
        Ok(body)
    } else {
        // A response without a body: an older agent does not know the request.
        let text = String::from_utf8_lossy(&body);
        Err(AdminClientError::Refused(if text.is_empty() { code.to_string() } else { text.into() }))
    }
}
