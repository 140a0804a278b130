//! Questions to a running agent, over its socket.

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no agent answers on {}: {source}; is `fairlead agent` running, and with this --socket?", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The agent hung up in the middle.
    #[error("the agent did not finish its answer: {0}")]
    Http(#[from] hyper::Error),
    /// The agent has an error of its own.
    #[error("the agent says: {0}")]
    Refused(String),
    /// What came is not what an agent of this version sends.
    #[error("cannot read the agent's answer ({0}); is it of another version than this command?")]
    Answer(#[from] serde_json::Error),
}

/// Asks the agent on a socket and waits for its whole answer.
///
/// # Errors
/// See [`ClientError`].
pub(super) fn ask(path: &Path, method: &Method, what: &'static str) -> Result<Bytes, ClientError> {
    let connect = |source| ClientError::Connect { path: path.to_path_buf(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(connect)?;
    runtime.block_on(async {
        let stream = UnixStream::connect(path).await.map_err(connect)?;
        exchange(stream, method, what).await
    })
}

async fn exchange(stream: UnixStream, method: &Method, what: &'static str) -> Result<Bytes, ClientError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method.clone();
    *request.uri_mut() = Uri::from_static(what);
    request.headers_mut().insert(HOST, HeaderValue::from_static("fairlead"));
    let response = sender.send_request(request).await?;
    let code = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    if code.is_success() {
        Ok(body)
    } else {
        Err(ClientError::Refused(String::from_utf8_lossy(&body).into()))
    }
}
