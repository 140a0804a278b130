//! The admin socket: status as JSON, drain, detach and uninstallation, over HTTP on a Unix socket.

mod explain;
mod flow;
mod log_level;
pub mod metrics;
pub mod page;
pub mod retire;
mod status;
pub(crate) mod trace;
mod why;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use aya::maps::MapError;
use lb_dataplane::attach::AttachMode;
use lb_dataplane::counters::Counters;
use lb_dataplane::layer2::Layer2View;
use lb_dataplane::mapped_tables::{FlowTable, LivenessCells};
use lb_dataplane::pins::Pins;
use lb_runtime::http::{HttpLimits, HttpServer};
use lb_speaker::bfd::BfdStatus;
use lb_speaker::{BgpStatus, Speaker};
use lb_trace::tracer::Tracer;
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

use crate::inquiry::Inquiry;
use crate::state::AgentState;

/// Why the admin socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Another agent answers on it.
    #[error("another agent is running and answers on {}; give this one another --socket", .0.display())]
    InUse(PathBuf),
    /// The kernel refuses it.
    #[error("cannot listen on {}: {source}", .path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

/// The maps that requests and scrapes read.
pub struct ReadMaps {
    /// The program's counters.
    pub counters: Arc<Counters>,
    /// The flow table.
    pub flows: FlowTable,
    /// The liveness cells of the nodes.
    pub cells: LivenessCells,
}

/// The state behind the admin socket's handlers.
pub struct AdminState {
    /// The agent's state.
    pub agent: watch::Receiver<Arc<AgentState>>,
    /// The maps that requests read.
    pub maps: Arc<ReadMaps>,
    /// The announcer's view.
    pub layer2: watch::Receiver<Arc<Layer2View>>,
    /// The sessions with BGP peers.
    pub speaker: Speaker,
    /// The traces.
    pub tracer: Tracer,
    /// Requests to drain this node, or to end its drain.
    pub drain: watch::Sender<bool>,
    /// Requests to detach the program.
    pub detach: watch::Sender<bool>,
    /// Request to retire: another agent takes over.
    pub retire: watch::Sender<bool>,
    /// Requests to uninstall: to withdraw all routes, detach and end.
    pub uninstall: watch::Sender<bool>,
    /// Whether that is done.
    pub uninstalled: watch::Receiver<bool>,
    /// Tick of the probe clock; zero without probes.
    pub tick: Duration,
    /// Questions to the control loop.
    pub inquiries: mpsc::Sender<Inquiry>,
    /// The pinned maps.
    pub pins: Pins,
}

/// The listening socket. Dropping it removes the file.
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

/// Returns whether a process listens on this socket.
pub fn is_served(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}

/// Listens on `path`, and replaces a socket file that no process listens on.
///
/// # Errors
/// When another agent answers on the socket, or the kernel refuses it.
pub fn listen(path: &Path) -> Result<Socket, AdminError> {
    let error = |source| AdminError::Listen { path: path.to_path_buf(), source };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(error)?;
    }
    if is_served(path) {
        return Err(AdminError::InUse(path.to_path_buf()));
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error(e)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(error)?;
    Ok(Socket { listener, file: SocketFile(path.to_path_buf()) })
}

/// Serves the admin socket until the task is cancelled.
pub async fn serve(socket: Socket, state: Arc<AdminState>, limits: HttpLimits) {
    let router = Router::new()
        .route("/status", get(status))
        .route("/overview", get(overview))
        .route("/bgp", get(bgp))
        .route("/bfd", get(bfd))
        .route("/l2", get(layer2))
        .route("/why", get(explain::why))
        .route("/flow", get(explain::flow))
        .route("/reboot", get(explain::reboot))
        .route("/readyz", get(ready))
        .route("/drain", post(drain).delete(undrain))
        .route("/detach", post(detach))
        .route("/retire", post(handle_retire))
        .route("/uninstall", post(uninstall))
        .route("/log-level", log_level::log_level())
        .route("/trace", trace::traces())
        .route("/trace/{id}", trace::trace())
        .with_state(state);
    let Socket { listener, file: _file } = socket;
    HttpServer::new("the admin socket", limits).serve(listener, router).await;
}

async fn drain(State(state): State<Arc<AdminState>>) -> StatusCode {
    state.drain.send_replace(true);
    StatusCode::NO_CONTENT
}

async fn undrain(State(state): State<Arc<AdminState>>) -> StatusCode {
    state.drain.send_replace(false);
    StatusCode::NO_CONTENT
}

/// Answers when the program is off every uplink.
async fn detach(State(state): State<Arc<AdminState>>) -> StatusCode {
    state.detach.send_replace(true);
    let mut agent = state.agent.clone();
    let is_detached = |agent: &Arc<AgentState>| agent.interfaces.iter().all(|it| it.mode == AttachMode::Off);
    match agent.wait_for(is_detached).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Accepts the request of another agent of the node that the body names.
async fn handle_retire(State(state): State<Arc<AdminState>>, node: String) -> StatusCode {
    if state.agent.borrow().node != node {
        return StatusCode::CONFLICT;
    }
    state.retire.send_replace(true);
    StatusCode::ACCEPTED
}

/// Answers when all sessions are closed and the program is off every uplink. Then the agent ends.
async fn uninstall(State(state): State<Arc<AdminState>>) -> StatusCode {
    state.uninstall.send_replace(true);
    match state.uninstalled.clone().wait_for(|is_done| *is_done).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn bgp(State(state): State<Arc<AdminState>>) -> Json<BgpStatus> {
    let view = state.speaker.view().await;
    let announced = Arc::clone(&state.agent.borrow().announced);
    Json(BgpStatus::of(&view, &announced))
}

async fn bfd(State(state): State<Arc<AdminState>>) -> Json<BfdStatus> {
    Json(BfdStatus::from(&state.speaker.view().await.bfd))
}

async fn ready(State(state): State<Arc<AdminState>>) -> StatusCode {
    if state.agent.borrow().ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn layer2(State(state): State<Arc<AdminState>>) -> Response {
    respond(status::layer2(&state))
}

async fn overview(State(state): State<Arc<AdminState>>) -> Response {
    respond(status::overview(&state).await)
}

async fn status(State(state): State<Arc<AdminState>>) -> Response {
    respond(status::status(&state))
}

fn respond<T: Serialize>(read: Result<T, MapError>) -> Response {
    match read {
        Ok(status) => Json(status).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read the counters: {error}")).into_response()
        }
    }
}
