//! The agent put together: checks, attachment, loop, and an orderly end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lb_bfd::clock::{ProbeClock, TICKS_PER_INTERVAL};
use lb_bgp::value::RouterId;
use lb_common::hash::HashKey;
use lb_common::maps::CONFIG_TOLD_TO_DRAIN;
use lb_model::{DrainRules, NodeName};
use lb_plan::plan::{Forwarding, LivenessSettings, Settings, UndeclaredPorts};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::metrics::AgentExporter;
use crate::admin::{self, AdminError, AdminState};
use crate::control::{self, Control, Neighbours};
use crate::last_good::LastGoodFile;
use crate::state::AgentState;
use crate::status_reporter::{self, StatusReporter};
use crate::tag_keys::TagKeysFile;
use lb_dataplane::attach::{AttachError, DesiredMode, MapSizes};
use lb_dataplane::attachment::Attachment;
use lb_dataplane::bfd::BfdMaps;
use lb_dataplane::counters::Counters;
use lb_dataplane::kernel_lookup::{self, KernelLookup, PreparedObject};
use lb_dataplane::liveness::{ProbeProfile, Prober};
use lb_dataplane::mapped_tables::{FlowTable, LivenessCells};
use lb_dataplane::maps::{Maps, MapsError};
use lb_dataplane::net::blackhole::Blackholes;
use lb_dataplane::net::observe::NetworkMonitor;
use lb_dataplane::net::unnumbered::UnnumberedRouters;
use lb_dataplane::net::uplinks;
use lb_dataplane::pins::Pins;
use lb_dataplane::preflight::{self, PreflightError};
use lb_kube::client::ClientError;
use lb_kube::source::{Source, SourceError, SourceOptions};
use lb_runtime::descriptors;
use lb_runtime::http::{self, HttpLimits};
use lb_runtime::metrics;
use lb_runtime::random;
use lb_runtime::watchdog::{self, Watchdog};
use lb_speaker::Speaker;

/// What the agent is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where objects come from.
    pub source: SourceOptions,
    /// Name of this node.
    pub node: NodeName,
    /// Uplinks; empty for those of the default routes.
    pub interfaces: Vec<String>,
    /// How the program is to run on them.
    pub mode: DesiredMode,
    /// BPF file system for the pins.
    pub bpffs: PathBuf,
    /// Socket for `fairlead status`.
    pub socket: PathBuf,
    /// File with what was accepted last.
    pub accepted: PathBuf,
    /// The cluster's secret.
    pub hash_key: HashKey,
    /// The keys of the tags on what nodes say to each other.
    pub tag_keys: TagKeysFile,
    /// Whether IP in IP is taken from other nodes.
    pub accept_ipip: bool,
    /// How packets get to other nodes.
    pub forwarding: Forwarding,
    /// Echo answers a second and CPU.
    pub echo_rate: u32,
    /// ICMP errors a second and CPU.
    pub icmp_error_rate: u32,
    /// What becomes of packets to ports of a VIP that are none of its Services'.
    pub undeclared: UndeclaredPorts,
    /// Slots of a ring for each of its nodes, at least.
    pub slots_per_node: u32,
    /// Sizes of the maps.
    pub sizes: MapSizes,
    /// Whether the program asks this node's kernel for connections.
    pub ask_kernel: KernelLookup,
    /// Services of this load-balancer class only.
    pub class: Option<String>,
    /// Whether nodes may announce whose label says that they are none of the load balancer's.
    pub ignore_exclude_label: bool,
    /// By what nodes drain; the same on every node.
    pub drain: DrainRules,
    /// How nodes are probed; `None`: nobody is ever found dead.
    pub liveness: Option<ProbeProfile>,
    /// For how long after a node's death flows that nobody knows wait, in case it comes back.
    pub orphan_grace: Duration,
    /// What the cluster is told, where the objects come from one.
    pub telling: status_reporter::Options,
    /// How sessions with routers are held.
    pub speaker: SpeakerOptions,
    /// Where metrics and health are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
}

/// How sessions with routers are held.
#[derive(Clone, Copy, Debug)]
pub struct SpeakerOptions {
    /// Where routers may connect; 0: nowhere.
    pub port: u16,
    /// This node's BGP identifier; `None`: its address.
    pub router_id: Option<RouterId>,
    /// Whether a node announces a Service with externalTrafficPolicy Local only if it has an endpoint of it.
    pub local_needs_endpoint: bool,
    /// How long routers are asked to prefer other nodes before this one goes.
    pub grace: Duration,
}

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// This machine is not fit for it.
    #[error(transparent)]
    PreflightError(#[from] PreflightError),
    /// The program is not on the uplinks.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The maps cannot be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The source cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The cluster cannot be told.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The socket cannot be had.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The counters cannot be opened.
    #[error("cannot open the counters: {0}")]
    Counters(#[source] aya::maps::MapError),
    /// No randomness.
    #[error("the kernel gives no random bytes: {0}")]
    Random(#[source] std::io::Error),
    /// No thread.
    #[error("the system gives no thread: {0}")]
    Thread(#[source] std::io::Error),
    /// No metrics.
    #[error("cannot serve metrics on {0}: {1}; give another --metrics-address")]
    Metrics(SocketAddr, #[source] std::io::Error),
    /// Nobody says what the interfaces are.
    #[error("cannot ask the kernel for its interfaces: {0}")]
    Interfaces(#[source] std::io::Error),
    /// Nobody says what the uplinks are.
    #[error("cannot ask the kernel for its default routes: {0}; name the uplinks with --interface")]
    Routes(#[source] std::io::Error),
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
pub async fn run(mut options: Options) -> Result<(), AppError> {
    let limits = HttpLimits::for_monitoring(descriptors::raise());
    let watchdog = Watchdog::default();
    let pins = Pins::below(&options.bpffs);
    if options.interfaces.is_empty() {
        options.interfaces = uplinks::of_default_routes().await.map_err(AppError::Routes)?;
        if options.interfaces.is_empty() {
            return Err(PreflightError::NoUplink.into());
        }
    }
    preflight::check(&options.interfaces, &pins)?;
    let source = Source::open(&options.source).await?;
    let socket = admin::listen(&options.socket)?;
    let network = NetworkMonitor::open().map_err(AppError::Netlink)?;
    let prepared = kernel_lookup::prepare(options.ask_kernel);
    tracing::info!(asks_kernel = %prepared.lookups, "prepared the XDP program");
    let attachment = attach(&network, &pins, &options, &prepared).await?;
    let maps = Maps::open(&pins)?;
    let counters = Counters::open(&pins).map_err(AppError::Counters)?;
    let (state, shown) = watch::channel(Arc::new(AgentState {
        node: options.node.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        interfaces: attachment.status(),
        asks_kernel: prepared.lookups,
        liveness_limit: liveness(&options, 0).limit,
        ..AgentState::default()
    }));
    let nonce = u64::from_ne_bytes(random::bytes().map_err(AppError::Random)?);
    let settings = settings(&options, &maps, nonce)?;
    let tick = options.liveness.map_or(Duration::ZERO, |profile| profile.interval / TICKS_PER_INTERVAL);
    let prober = match options.liveness {
        Some(profile) => {
            let heart = watchdog.heart("liveness", watchdog::THREAD_LIMIT);
            let cells = LivenessCells::open(&pins)?;
            Some(Prober::start(profile, cells, settings.tag_keys.current, heart).map_err(AppError::Thread)?)
        }
        None => None,
    };
    let noted = BfdMaps::open(&pins)?;
    let speaker = Speaker::new(options.speaker.port, &options.node.to_string(), Some(noted), &watchdog);
    let speaker = speaker.map_err(AppError::Thread)?;
    let listener = options
        .metrics
        .map(|address| http::listen(address).map_err(|error| AppError::Metrics(address, error)));
    let exporter = AgentExporter { state: shown.clone(), speaker: speaker.clone() };
    let metrics = metrics::serve(listener.transpose()?, exporter, watchdog.clone(), limits);
    let neighbours = Neighbours {
        speaker: speaker.clone(),
        router_id: options.speaker.router_id,
        local_needs_endpoint: options.speaker.local_needs_endpoint,
        restarted: false,
        routers: UnnumberedRouters::new(std::process::id().into()).map_err(AppError::Netlink)?,
        blackholes: Blackholes::start(options.interfaces.clone()).map_err(AppError::Netlink)?,
    };
    let teller =
        StatusReporter { node: options.node.to_string(), state: shown.clone(), speaker: speaker.clone() };
    // Ends with this.
    let _telling = teller.start(&options.source, &options.telling).await?;
    let (drain, draining) = watch::channel(settings.draining);
    let (detach, detaching) = watch::channel(false);
    let control = Control {
        source,
        accepted: LastGoodFile::at(options.accepted, options.source.identity(&options.hash_key)),
        network,
        attachment,
        maps,
        settings,
        class: options.class,
        drain: options.drain,
        addresses: options.source.address_rule(),
        state,
        prober,
        neighbours,
        draining,
        detaching,
        tag_keys: options.tag_keys.watch(),
    };
    let last = shown.clone();
    let admin_state = AdminState {
        agent: shown,
        counters,
        cells: LivenessCells::open(&pins)?,
        flows: FlowTable::open(&pins)?,
        speaker: speaker.clone(),
        drain,
        detach,
        tick,
    };
    let outcome = tokio::select! {
        ended = control.run(&watchdog) => ended.map_err(AppError::from),
        () = metrics => Ok(()),
        () = admin::serve(socket, admin_state, limits) => Ok(()),
        told = told_to_stop() => {
            tracing::info!("stopping: the program stays attached and goes on forwarding; `fairlead detach` removes it");
            told.map_err(|e| AppError::Ended("the wait for signals", e))
        }
    };
    if is_going(&last.borrow()) {
        speaker.depart(options.speaker.grace).await;
    } else {
        speaker.leave(options.speaker.grace).await;
    }
    outcome
}

/// Attaches the program to the uplinks, or takes over what an agent before this one has left there.
async fn attach(
    network: &NetworkMonitor,
    pins: &Pins,
    options: &Options,
    prepared: &PreparedObject,
) -> Result<Attachment, AppError> {
    let devices = network.all_devices().await.map_err(|e| AppError::Interfaces(std::io::Error::other(e)))?;
    let interfaces = devices.iter().map(control::interface).collect();
    let names = &options.interfaces;
    Ok(Attachment::start(pins, names, interfaces, options.mode, options.sizes, &prepared.object)?)
}

/// Whether this node has been drained, and its part is taken over by others: where all drain, nobody leaves.
fn is_going(state: &AgentState) -> bool {
    state.draining && state.nodes.iter().any(|node| !node.is_self && !node.draining)
}

fn settings(options: &Options, maps: &Maps, nonce: u64) -> Result<Settings, MapsError> {
    let flags = maps.read_back()?.config.map_or(0, |config| config.flags);
    Ok(Settings {
        node: options.node.clone(),
        hash_key: options.hash_key,
        tag_keys: options.tag_keys.keys(),
        accept_ipip: options.accept_ipip,
        echo_rate: options.echo_rate,
        icmp_error_rate: options.icmp_error_rate,
        undeclared: options.undeclared,
        forwarding: options.forwarding,
        slots_per_node: options.slots_per_node,
        // Found pinned, the map may have another size than the option says.
        ring_capacity: maps.ring_capacity() as u32,
        flow_sets: maps.flow_sets(),
        liveness: liveness(options, nonce),
        // What an agent before this one was told holds until somebody says otherwise.
        draining: flags & CONFIG_TOLD_TO_DRAIN != 0,
        ignore_exclude_label: options.ignore_exclude_label,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        weight_settle: Settings::WEIGHT_SETTLE,
    })
}

fn liveness(options: &Options, nonce: u64) -> LivenessSettings {
    let Some(profile) = options.liveness else { return LivenessSettings::default() };
    let tick = profile.interval / TICKS_PER_INTERVAL;
    LivenessSettings {
        limit: ProbeClock::limit(profile.multiplier.into()),
        orphan_grace: (options.orphan_grace.as_micros() / tick.as_micros().max(1)) as u32,
        nonce,
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
