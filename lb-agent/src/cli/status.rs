//! `fairlead status`.

mod table;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::SocketArgs;

/// Arguments of `fairlead status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As a table for people, or as JSON.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Aligned, one screen.
    Table,
    /// Everything, for programs.
    Json,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
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

/// Asks the agent and prints what it says.
///
/// # Errors
/// See [`StatusError`].
pub fn run(args: &StatusArgs) -> Result<(), StatusError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StatusError::Connect { path: args.socket.socket.clone(), source })?;
    let answer = runtime.block_on(ask(&args.socket.socket))?;
    let status: serde_json::Value = serde_json::from_slice(&answer)?;
    match args.output {
        Output::Json => println!("{status:#}"),
        Output::Table => print!("{}", table::render(&serde_json::from_value(status)?)),
    }
    Ok(())
}

async fn ask(path: &std::path::Path) -> Result<Bytes, StatusError> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| StatusError::Connect { path: path.to_path_buf(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static("/status");
    request.headers_mut().insert(hyper::header::HOST, hyper::header::HeaderValue::from_static("fairlead"));
    let response = sender.send_request(request).await?;
    let code = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    if code == StatusCode::OK {
        Ok(body)
    } else {
        Err(StatusError::Refused(String::from_utf8_lossy(&body).into()))
    }
}
