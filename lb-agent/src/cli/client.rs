//! An HTTP client for the agent's admin socket.

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

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
    /// The connection failed before the end of the response.
    #[error("the agent did not complete its response: {0}")]
    Http(#[from] hyper::Error),
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
pub(super) fn request(socket: &Path, method: &Method, path: &'static str) -> Result<Bytes, AdminClientError> {
    let connect = |source| AdminClientError::Connect { path: socket.to_path_buf(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(connect)?;
    runtime.block_on(async {
        let stream = UnixStream::connect(socket).await.map_err(connect)?;
        exchange(stream, method, path).await
    })
}

async fn exchange(
    stream: UnixStream,
    method: &Method,
    path: &'static str,
) -> Result<Bytes, AdminClientError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method.clone();
    *request.uri_mut() = Uri::from_static(path);
    request.headers_mut().insert(HOST, HeaderValue::from_static("fairlead"));
    let response = sender.send_request(request).await?;
    let code = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    if code.is_success() {
        Ok(body)
    } else {
        Err(AdminClientError::Refused(String::from_utf8_lossy(&body).into()))
    }
}
