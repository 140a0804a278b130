//! The agent put together: checks, attachment, loop, and an orderly end.

use std::path::PathBuf;
use std::sync::Arc;

use lb_common::hash::HashKey;
use lb_plan::model::NodeName;
use lb_plan::plan::{Forwarding, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{self, AdminError};
use crate::control::Control;
use crate::dataplane::attach::{self, AttachError};
use crate::dataplane::counters::Counters;
use crate::dataplane::maps::{Maps, MapsError};
use crate::dataplane::pins::Pins;
use crate::dataplane::preflight::{self, Unfit};
use crate::directory::{Directory, DirectoryError};
use crate::net::observe::Network;
use crate::state::State;

/// What the agent is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of YAML files.
    pub source: PathBuf,
    /// Name of this node.
    pub node: NodeName,
    /// Uplinks.
    pub interfaces: Vec<String>,
    /// BPF file system for the pins.
    pub bpffs: PathBuf,
    /// Socket for `fairlead status`.
    pub socket: PathBuf,
    /// The cluster's secret.
    pub hash_key: HashKey,
    /// How packets get to other nodes.
    pub forwarding: Forwarding,
    /// Echo answers a second and CPU.
    pub echo_rate: u32,
    /// Slots of a ring for each of its nodes, at least.
    pub slots_per_node: u32,
    /// Slots of all rings.
    pub ring_slots: u32,
    /// Services of this load-balancer class only.
    pub class: Option<String>,
}

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// This machine is not fit for it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The program is not on the uplinks.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The maps cannot be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The source cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The socket cannot be had.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The counters cannot be opened.
    #[error("cannot open the counters: {0}")]
    Counters(#[source] aya::maps::MapError),
    /// No netlink.
    #[error("the kernel gives no netlink socket: {0}")]
    Netlink(#[source] std::io::Error),
    /// A task ended that should not.
    #[error("{0} ended unexpectedly: {1}")]
    Ended(&'static str, #[source] std::io::Error),
}

/// Runs the agent until SIGTERM or SIGINT. What it has put into the kernel stays and goes on forwarding:
/// the next agent takes it over, and `fairlead detach` removes it.
///
/// # Errors
/// See [`AppError`]. Nothing is attached when a check fails.
pub async fn run(options: Options) -> Result<(), AppError> {
    let pins = Pins::below(&options.bpffs);
    preflight::check(&options.interfaces, &pins)?;
    let source = Directory::watch(&options.source)?;
    let socket = admin::listen(&options.socket)?;
    let network = Network::open(&options.interfaces).map_err(AppError::Netlink)?;
    let interfaces = attach::attach(&pins, &options.interfaces, options.ring_slots)?;
    for attached in &interfaces {
        tracing::info!(interface = %attached.interface, mode = ?attached.mode, "attached");
    }
    let maps = Maps::open(&pins)?;
    let counters = Counters::open(&pins).map_err(AppError::Counters)?;
    let (state, shown) = watch::channel(Arc::new(State {
        node: options.node.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        interfaces,
        ..State::default()
    }));
    let settings = settings(&options, &maps);
    let control = Control { source, network, maps, settings, class: options.class, state };
    tokio::select! {
        ended = control.run() => ended.map_err(AppError::from),
        ended = admin::serve(socket, shown, counters) => ended.map_err(|e| AppError::Ended("the admin socket", e)),
        told = told_to_stop() => {
            tracing::info!("stopping: the program stays attached and goes on forwarding; `fairlead detach` removes it");
            told.map_err(|e| AppError::Ended("the wait for signals", e))
        }
    }
}

fn settings(options: &Options, maps: &Maps) -> Settings {
    Settings {
        node: options.node.clone(),
        hash_key: options.hash_key,
        echo_rate: options.echo_rate,
        forwarding: options.forwarding,
        slots_per_node: options.slots_per_node,
        // Found pinned, the map may have another size than the option says.
        ring_capacity: maps.ring_capacity() as u32,
        draining: false,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        weight_settle: Settings::WEIGHT_SETTLE,
    }
}

async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
