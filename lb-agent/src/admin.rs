//! The agent's own door: state as JSON over a Unix socket, and metrics over HTTP.

pub mod metrics;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extracted;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use lb_common::maps::LIVENESS_ADMIN_DOWN;
use lb_plan::plan::NodeState;
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::state::State;
use lb_dataplane::attach::Mode;
use lb_dataplane::cells::{FlowCount, Flows, LivenessCells};
use lb_dataplane::counters::{Counters, OutcomeCount};
use lb_runtime::http::{HttpServer, Limits};
use lb_speaker::bfd::BfdShown;
use lb_speaker::{BgpShown, Speaker};

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
    pub vip_traffic: Vec<VipTraffic>,
    /// What was forwarded to each node, by its index in the state.
    pub node_traffic: Vec<NumberedTraffic>,
    /// When each other node was last heard of, by its index in the state.
    pub liveness: Vec<NodeLiveness>,
    /// Flows in this node's table.
    pub flows: FlowCount,
}

/// When a node was last heard of.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NodeLiveness {
    /// The node's index.
    pub number: u32,
    /// `alive`, `draining` or `dead`.
    pub state: &'static str,
    /// Milliseconds of the probe clock since its last answer.
    pub silent_ms: u64,
}

/// What came for a VIP.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct VipTraffic {
    /// The VIP's number.
    pub number: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Packets besides that were dropped, because their clients are outside the source ranges of the Service.
    pub source_refused: u64,
}

/// Packets and bytes of the thing with a number.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NumberedTraffic {
    /// The node's index.
    pub number: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What the answers are made from.
pub struct Door {
    /// The agent's state.
    pub state: watch::Receiver<Arc<State>>,
    /// The program's counters.
    pub counters: Counters,
    /// Who was last heard of when.
    pub cells: LivenessCells,
    /// The table of flows.
    pub flows: Flows,
    /// The sessions with routers.
    pub speaker: Speaker,
    /// Where a drain is told.
    pub drain: watch::Sender<bool>,
    /// Where a detachment is told.
    pub detach: watch::Sender<bool>,
    /// A tick of the probe clock; zero where nobody is probed.
    pub tick: Duration,
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
pub async fn serve(socket: Socket, door: Door, limits: Limits) {
    let router = Router::new()
        .route("/status", get(status))
        .route("/bgp", get(bgp))
        .route("/bfd", get(bfd))
        .route("/readyz", get(ready))
        .route("/drain", post(drain).delete(undrain))
        .route("/detach", post(detach))
        .with_state(Arc::new(door));
    let Socket { listener, file: _file } = socket;
    HttpServer::new("the status socket", limits).serve(listener, router).await;
}

async fn drain(Extracted(door): Extracted<Arc<Door>>) -> StatusCode {
    door.drain.send_replace(true);
    StatusCode::NO_CONTENT
}

async fn undrain(Extracted(door): Extracted<Arc<Door>>) -> StatusCode {
    door.drain.send_replace(false);
    StatusCode::NO_CONTENT
}

/// Answers when the program is off.
async fn detach(Extracted(door): Extracted<Arc<Door>>) -> StatusCode {
    door.detach.send_replace(true);
    let mut state = door.state.clone();
    let is_off = |state: &Arc<State>| state.interfaces.iter().all(|it| it.mode == Mode::Off);
    match state.wait_for(is_off).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn bgp(Extracted(door): Extracted<Arc<Door>>) -> Json<BgpShown> {
    let view = door.speaker.view().await;
    let announced = Arc::clone(&door.state.borrow().announced);
    Json(BgpShown::of(&view, &announced))
}

async fn bfd(Extracted(door): Extracted<Arc<Door>>) -> Json<BfdShown> {
    Json(BfdShown::from(&door.speaker.view().await.bfd))
}

async fn ready(Extracted(door): Extracted<Arc<Door>>) -> StatusCode {
    if door.state.borrow().ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn status(Extracted(door): Extracted<Arc<Door>>) -> Response {
    let state = State::clone(&door.state.borrow());
    match with_counters(state, &door) {
        Ok(status) => Json(status).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read the counters: {error}")).into_response()
        }
    }
}

fn with_counters(state: State, door: &Door) -> Result<Status, aya::maps::MapError> {
    let counters = &door.counters;
    let numbers = state.services.iter().flat_map(|service| service.vips.iter().filter_map(|vip| vip.number));
    let vip_traffic = numbers
        .map(|number| {
            let (traffic, source_refused) = (counters.vip(number)?, counters.source_refused(number)?);
            Ok(VipTraffic { number, packets: traffic.packets, bytes: traffic.bytes, source_refused })
        })
        .collect::<Result<_, aya::maps::MapError>>()?;
    let node_traffic = state
        .nodes
        .iter()
        .map(|node| {
            let number = u32::from(node.index);
            counters.node(node.index).map(|t| NumberedTraffic { number, packets: t.packets, bytes: t.bytes })
        })
        .collect::<Result<_, _>>()?;
    let own = state.nodes.iter().find(|node| node.is_self);
    let flows = own.map(|node| door.flows.count(node.index)).unwrap_or_default();
    let liveness = liveness(&state, door);
    Ok(Status { outcomes: counters.outcomes()?, vip_traffic, node_traffic, liveness, flows, state })
}

fn liveness(state: &State, door: &Door) -> Vec<NodeLiveness> {
    if door.tick.is_zero() {
        return Vec::new();
    }
    let clock = door.cells.clock();
    let of = |node: &NodeState| {
        let cell = door.cells.of(node.index);
        let silence = cell.silence(clock);
        let word = if silence >= state.liveness_limit {
            "dead"
        } else if cell.state == LIVENESS_ADMIN_DOWN {
            "draining"
        } else {
            "alive"
        };
        let silent_ms = (door.tick * silence).as_millis() as u64;
        NodeLiveness { number: node.index.into(), state: word, silent_ms }
    };
    state.nodes.iter().filter(|node| !node.is_self).map(of).collect()
}
