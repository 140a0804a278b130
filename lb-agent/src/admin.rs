//! The agent's own door: state as JSON over a Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State as Extracted;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::dataplane::counters::{Counters, OutcomeCount};
use crate::state::State;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Another agent answers on it.
    #[error("another agent is running: it answers on {}; give this one another --socket", .0.display())]
    Taken(PathBuf),
    /// The kernel refuses it.
    #[error("cannot listen on {}: {source}", .path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What `GET /status` answers.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The agent's state.
    #[serde(flatten)]
    pub state: State,
    /// What became of packets.
    pub outcomes: Vec<OutcomeCount>,
    /// What came for each VIP, by its number in the state.
    pub vip_traffic: Vec<NumberedTraffic>,
    /// What was forwarded to each node, by its index in the state.
    pub node_traffic: Vec<NumberedTraffic>,
}

/// Packets and bytes of the thing with a number.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NumberedTraffic {
    /// The VIP's number or the node's index.
    pub number: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

struct Door {
    state: watch::Receiver<Arc<State>>,
    counters: Counters,
}

/// The socket, listening; removed when it is dropped.
pub struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens on a path; a socket that nobody answers on is replaced.
///
/// # Errors
/// When somebody answers on it, or the kernel refuses.
pub fn listen(path: &Path) -> Result<Socket, AdminError> {
    let error = |source| AdminError::Listen { path: path.to_path_buf(), source };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(error)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(AdminError::Taken(path.to_path_buf()));
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error(e)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(error)?;
    Ok(Socket { listener, file: SocketFile(path.to_path_buf()) })
}

/// Answers until the task is ended.
///
/// # Errors
/// When the socket fails.
pub async fn serve(socket: Socket, state: watch::Receiver<Arc<State>>, counters: Counters) -> io::Result<()> {
    let router = Router::new()
        .route("/status", get(status))
        .route("/readyz", get(ready))
        .with_state(Arc::new(Door { state, counters }));
    let Socket { listener, file: _file } = socket;
    axum::serve(listener, router).await
}

async fn ready(Extracted(door): Extracted<Arc<Door>>) -> StatusCode {
    if door.state.borrow().ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn status(Extracted(door): Extracted<Arc<Door>>) -> Response {
    let state = State::clone(&door.state.borrow());
    match with_counters(state, &door.counters) {
        Ok(status) => Json(status).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read the counters: {error}")).into_response()
        }
    }
}

fn with_counters(state: State, counters: &Counters) -> Result<Status, aya::maps::MapError> {
    let numbers = state.services.iter().flat_map(|service| service.vips.iter().filter_map(|vip| vip.number));
    let vip_traffic = numbers
        .map(|number| {
            counters.vip(number).map(|t| NumberedTraffic { number, packets: t.packets, bytes: t.bytes })
        })
        .collect::<Result<_, _>>()?;
    let node_traffic = state
        .nodes
        .iter()
        .map(|node| {
            let number = u32::from(node.index);
            counters.node(node.index).map(|t| NumberedTraffic { number, packets: t.packets, bytes: t.bytes })
        })
        .collect::<Result<_, _>>()?;
    Ok(Status { outcomes: counters.outcomes()?, vip_traffic, node_traffic, state })
}
