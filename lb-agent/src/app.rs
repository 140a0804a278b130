//! `fairlead agent`: its parts put together, from the preflight checks to an orderly shutdown.

pub mod dry_run;
mod error;
mod options;
mod uninstall;

use std::sync::Arc;
use std::time::Duration;

use lb_bfd::clock::{ProbeClock, TICKS_PER_INTERVAL};
use lb_common::maps::{CONFIG_DRAIN_REQUESTED, CONFIG_DRAINING, Standing};
use lb_dataplane::attachment::Attachment;
use lb_dataplane::bfd::{AgentCells, BfdMaps};
use lb_dataplane::counters::Counters;
use lb_dataplane::kernel_lookup::{self, PreparedObject};
use lb_dataplane::layer2::{AnnouncerHandle, AnnouncerSettings};
use lb_dataplane::liveness::{ProbeMaps, ProbeProfile, Prober};
use lb_dataplane::map_io::MapsError;
use lb_dataplane::mapped_tables::{AnswerTimes, FlowTable, LivenessCells};
use lb_dataplane::maps::{HAND_OVER, Maps};
use lb_dataplane::net::blackhole::Blackholes;
use lb_dataplane::net::observe::NetworkMonitor;
use lb_dataplane::net::solicited::SolicitedGroups;
use lb_dataplane::net::unnumbered::UnnumberedRouters;
use lb_dataplane::net::uplinks;
use lb_dataplane::pins::Pins;
use lb_dataplane::preflight::{self, PreflightError};
use lb_keeper::{ClientOptions, KeeperClient, SpawnOptions};
use lb_kube::client::{self, ClientRole};
use lb_kube::source::{ObjectSource, SourceOptions};
use lb_kube::token_review::TokenReviewer;
use lb_l2::engine::EngineSettings;
use lb_plan::plan::{LivenessSettings, Settings};
use lb_runtime::http::{self, HttpLimits};
use lb_runtime::metrics::{MetricsPort, MetricsSecurity};
use lb_runtime::watchdog::{self, Watchdog};
use lb_runtime::{descriptors, metrics, random};
use lb_speaker::Speaker;
use lb_speaker::bfd::BfdKernel;
use lb_speaker::desired::DesiredPeers;
use lb_trace::tracer::{Tracer, TracerSource};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};

pub use self::error::AppError;
pub use self::options::{AgentOptions, KeeperMode, KeeperSettings, Layer2Options, SpeakerOptions};
use self::uninstall::Uninstaller;
use crate::admin::metrics::AgentExporter;
use crate::admin::page::StatusPage;
use crate::admin::{self, AdminError, AdminState, ReadMaps, Socket, retire};
use crate::control::{self, Advertiser, AnnouncementTimer, ControlLoop, PlannedRoutes};
use crate::measurements::Measurements;
use crate::state::AgentState;
use crate::status_reporter::StatusReporter;
use lb_dataplane::rare_verdicts;
use lb_kube::last_good::LastGoodFile;

/// Frames a second that nodes send together when they take over addresses: a burst that every host and switch
/// of a network can process.
const ANNOUNCEMENTS_PER_SECOND: u32 = 2_000;

/// Runs the agent until SIGTERM or SIGINT. What it has put into the kernel stays and goes on forwarding: the
/// next agent adopts it, and `fairlead detach` removes it.
///
/// # Errors
/// See [`AppError`]. Nothing is attached when a check fails.
pub async fn run(mut options: AgentOptions) -> Result<(), AppError> {
    let limits = HttpLimits::for_monitoring(descriptors::raise());
    let watchdog = Watchdog::default();
    let pins = Pins::below(&options.bpffs);
    if options.interfaces.is_empty() {
        options.interfaces = default_uplinks().await?;
    }
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(node = %options.node, uplinks = ?options.interfaces, "starting fairlead {version}");
    preflight::check(&options.interfaces, &pins)?;
    let source = ObjectSource::open(&options.source).await?;
    let socket = listen(&options).await?;
    let network = NetworkMonitor::open().map_err(AppError::Netlink)?;
    let prepared = kernel_lookup::prepare(options.ask_kernel);
    tracing::info!("prepared the XDP program; kernel lookups: {}", prepared.lookups);
    let attachment = attach(&network, &pins, &options, &prepared).await?;
    let maps = Maps::open(&pins)?;
    let counters = Arc::new(Counters::open(&pins).map_err(AppError::Counters)?);
    let (state, agent) = watch::channel(Arc::new(first_state(&options, &attachment, &prepared)));
    let nonce = u64::from_ne_bytes(random::bytes().map_err(AppError::Random)?);
    let settings = settings(&options, &MapSetup::of(&maps)?, nonce);
    let measurements = Measurements::new().map_err(AppError::Measurements)?;
    let prober = prober(&options, &pins, &settings, &measurements, &watchdog)?;
    let announcer = announcer(&options, &pins, &maps, &watchdog)?;
    let layer2 = announcer.view();
    let speaker = speaker(&options, &pins, &watchdog)?;
    let read_maps = Arc::new(ReadMaps {
        counters: Arc::clone(&counters),
        flows: FlowTable::open(&pins)?,
        cells: LivenessCells::open(&pins)?,
    });
    let (port, security) = (metrics_port(&options, limits)?, metrics_security(&options).await?);
    let advertiser = advertiser(&options, &speaker)?;
    let reporter = StatusReporter {
        node: options.node.to_string(),
        state: agent.clone(),
        speaker: speaker.clone(),
        layer2: layer2.clone(),
    };
    // Its tasks end when this is dropped.
    let reports = reporter.start(&options.source, &options.reporter).await?;
    let (drain, draining) = watch::channel(settings.draining);
    let health = options.health_check.map(|url| url.watch(settings.unhealthy));
    let (detach, detaching) = watch::channel(false);
    let (retire, mut retiring) = watch::channel(false);
    let (uninstall, requests) = watch::channel(false);
    let (done, uninstalled) = watch::channel(false);
    let (inquire, inquiries) = mpsc::channel(1);
    let uninstaller = Uninstaller {
        requests,
        done,
        speaker: speaker.clone(),
        grace: options.speaker.grace,
        detach: detach.clone(),
        agent: agent.clone(),
    };
    let named = agent.clone();
    let (tracer, tracing) = Tracer::new(TracerSource {
        object: prepared.object,
        pins: pins.clone(),
        sizes: options.sizes,
        names: Box::new(move || admin::trace::names(&named.borrow())),
    });
    let exported = measurements.clone();
    let control = ControlLoop {
        source,
        last_good: LastGoodFile::at(options.last_good, options.source.identity(&options.hash_key)),
        network,
        attachment,
        maps,
        settings,
        class: options.class,
        drain: options.drain,
        addresses: options.source.address_rule(),
        state,
        prober,
        announcer,
        groups: SolicitedGroups::start().map_err(AppError::Netlink)?,
        advertiser,
        announcement_timer: AnnouncementTimer {
            speaker: speaker.clone(),
            layer2: layer2.clone(),
            latency: measurements.announcement.clone(),
            tasks: [None, None],
        },
        measurements,
        draining,
        health,
        detaching,
        tracing,
        tag_keys: options.tag_keys.watch(),
        inquiries,
    };
    let (last_state, leaving) = (agent.clone(), pins.clone());
    let admin_state = Arc::new(AdminState {
        agent,
        maps: read_maps,
        layer2,
        speaker: speaker.clone(),
        tracer,
        drain,
        detach,
        retire,
        uninstall,
        uninstalled,
        tick: options.liveness.map_or(Duration::ZERO, |profile| profile.interval / TICKS_PER_INTERVAL),
        inquiries: inquire,
        pins,
    });
    let exporter = AgentExporter {
        state: admin_state.agent.clone(),
        speaker: speaker.clone(),
        layer2: admin_state.layer2.clone(),
        maps: Arc::clone(&admin_state.maps),
        turn: Arc::new(Semaphore::new(1)),
        measurements: exported,
        page: options.status_page.then(|| StatusPage::new(Arc::clone(&admin_state))),
    };
    let metrics = metrics::serve(port, security, exporter, watchdog.clone());
    let outcome = tokio::select! {
        ended = control.run(&watchdog) => ended.map_err(AppError::from),
        () = metrics => Ok(()),
        () = rare_verdicts::log(counters) => Ok(()),
        () = admin::serve(socket, admin_state, limits) => Ok(()),
        () = uninstaller.run() => return Ok(()),
        signalled = stop_signal() => {
            tracing::info!("stopping: the program stays attached and goes on forwarding; `fairlead detach` removes it");
            signalled.map_err(|error| AppError::Ended("the wait for signals", error))
        }
        () = replaced(&speaker, &mut retiring) => {
            // Everything else is dropped: the successor has the kernel's maps, the sessions and the ports.
            drop(reports);
            speaker.retire().await;
            drop(speaker);
            tracing::info!("retired: another agent has taken over; waiting for a signal to stop");
            return stop_signal().await.map_err(|error| AppError::Ended("the wait for signals", error));
        }
    };
    if is_drained(&last_state.borrow()) {
        tokio::join!(say_leaving(&leaving), speaker.shut_down(options.speaker.grace));
    } else {
        speaker.hand_over(options.speaker.grace).await;
    }
    outcome
}

/// Makes the program state that this node is about to be shut down, and waits until the other nodes know.
async fn say_leaving(pins: &Pins) {
    match Maps::open(pins).and_then(|mut maps| maps.say_leaving()) {
        Ok(true) => tokio::time::sleep(HAND_OVER).await,
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%error, "cannot announce to the other nodes that this node is shut down")
        }
    }
}

/// Opens the admin socket. An agent that still runs on it is asked to retire.
async fn listen(options: &AgentOptions) -> Result<Socket, AppError> {
    let in_use = match admin::listen(&options.socket) {
        Err(error @ AdminError::InUse(_)) => error,
        outcome => return Ok(outcome?),
    };
    tracing::info!("another agent is running; asking it to retire");
    let (path, node) = (options.socket.clone(), options.node.to_string());
    match tokio::task::spawn_blocking(move || retire::retire(&path, &node)).await {
        Ok(true) => Ok(admin::listen(&options.socket)?),
        Ok(false) | Err(_) => Err(in_use.into()),
    }
}

/// Waits until another agent takes over.
async fn replaced(speaker: &Speaker, retiring: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = speaker.replaced() => {}
        Ok(_) = retiring.wait_for(|retires| *retires) => {}
    }
}

async fn default_uplinks() -> Result<Vec<String>, AppError> {
    let uplinks = uplinks::of_default_routes().await.map_err(AppError::Routes)?;
    if uplinks.is_empty() { Err(PreflightError::NoUplink.into()) } else { Ok(uplinks) }
}

/// Attaches the program to the uplinks, or adopts what an earlier agent left attached.
async fn attach(
    network: &NetworkMonitor,
    pins: &Pins,
    options: &AgentOptions,
    prepared: &PreparedObject,
) -> Result<Attachment, AppError> {
    let devices = network.all_devices().await.map_err(|e| AppError::Interfaces(std::io::Error::other(e)))?;
    let interfaces = devices.iter().map(control::interface).collect();
    let names = &options.interfaces;
    Ok(Attachment::start(pins, names, interfaces, options.mode, options.sizes, &prepared.object)?)
}

fn first_state(options: &AgentOptions, attachment: &Attachment, prepared: &PreparedObject) -> AgentState {
    AgentState {
        node: options.node.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        interfaces: attachment.status(),
        asks_kernel: prepared.lookups.clone(),
        liveness_limit: liveness(options, 0).limit,
        ..AgentState::default()
    }
}

fn prober(
    options: &AgentOptions,
    pins: &Pins,
    settings: &Settings,
    measurements: &Measurements,
    watchdog: &Watchdog,
) -> Result<Option<Prober>, AppError> {
    let Some(profile) = options.liveness else { return Ok(None) };
    let heart = watchdog.heart("liveness", watchdog::THREAD_LIMIT);
    let maps = ProbeMaps { cells: LivenessCells::open(pins)?, answered: AnswerTimes::open(pins)? };
    let measurements = measurements.liveness.clone();
    let prober = Prober::start(profile, maps, settings.tag_keys.current, measurements, heart);
    prober.map(Some).map_err(AppError::Thread)
}

fn announcer(
    options: &AgentOptions,
    pins: &Pins,
    maps: &Maps,
    watchdog: &Watchdog,
) -> Result<AnnouncerHandle, AppError> {
    let profile = options.liveness.unwrap_or(ProbeProfile { interval: Duration::ZERO, multiplier: 0 });
    let engine = EngineSettings {
        keep_alive: options.layer2.keep_alive,
        rate: ANNOUNCEMENTS_PER_SECOND,
        preempt_after: options.layer2.preempt_after,
        check: options.layer2.duplicate_check,
        detection: profile.interval * profile.multiplier.into(),
    };
    let liveness_limit = liveness(options, 0).limit;
    let tick = profile.interval / TICKS_PER_INTERVAL;
    let agent_limit = options.dead_man;
    let settings = AnnouncerSettings { engine, liveness_limit, tick, agent_limit };
    // A node whose agent was gone for long has lost its addresses to others.
    let cells = AgentCells::open(pins)?;
    let adopted = maps.config()?.filter(|config| !cells.is_abandoned(config));
    let adopted = adopted.map_or(Standing::Absent, |config| config.standing());
    let heart = watchdog.heart("layer2", watchdog::THREAD_LIMIT);
    let handle = AnnouncerHandle::start(settings, LivenessCells::open(pins)?, cells, adopted, heart);
    handle.map_err(AppError::Thread)
}

fn speaker(options: &AgentOptions, pins: &Pins, watchdog: &Watchdog) -> Result<Speaker, AppError> {
    let kernel = BfdKernel {
        maps: BfdMaps::open(pins)?,
        cells: AgentCells::open(pins)?,
        dead_after: options.dead_man,
    };
    let keeper = keeper(&options.keeper, options.dead_man).map_err(AppError::Thread)?;
    Speaker::new(options.speaker.port, &options.node.to_string(), Some(kernel), keeper, watchdog)
        .map_err(AppError::Thread)
}

fn keeper(options: &KeeperSettings, bound: Duration) -> std::io::Result<Option<KeeperClient>> {
    let spawn = match options.mode {
        KeeperMode::Off => return Ok(None),
        KeeperMode::External => None,
        KeeperMode::Spawn => {
            Some(SpawnOptions { program: None, bound, arguments: options.arguments.clone() })
        }
    };
    let release = env!("CARGO_PKG_VERSION").to_owned();
    KeeperClient::start(options.socket.clone(), ClientOptions { spawn, release }).map(Some)
}

/// Binds the metrics port at the start, so that an address in use is an error then.
fn metrics_port(options: &AgentOptions, limits: HttpLimits) -> Result<Option<MetricsPort>, AppError> {
    let Some(address) = options.metrics.address else { return Ok(None) };
    let listener = http::listen(address).map_err(|error| AppError::Metrics(address, error))?;
    Ok(Some(MetricsPort { listener, limits }))
}

/// Returns how the metrics port is secured; `None`: not at all.
async fn metrics_security(
    options: &AgentOptions,
) -> Result<Option<MetricsSecurity<TokenReviewer>>, AppError> {
    let Some(certificate) = options.metrics.certificate.clone() else { return Ok(None) };
    let SourceOptions::Kubernetes { kubeconfig, .. } = &options.source else {
        return Err(AppError::NoTokenReview);
    };
    let client = client::connect(kubeconfig.as_deref(), ClientRole::Agent).await?;
    Ok(Some(MetricsSecurity { tls: certificate.serve()?, authorizer: TokenReviewer::new(client) }))
}

fn advertiser(options: &AgentOptions, speaker: &Speaker) -> Result<Advertiser, AppError> {
    Ok(Advertiser {
        speaker: speaker.clone(),
        planned: PlannedRoutes::default(),
        router_id: options.speaker.router_id,
        restarted: false,
        routers: UnnumberedRouters::new(std::process::id().into()).map_err(AppError::Netlink)?,
        blackholes: Blackholes::start(options.interfaces.clone()).map_err(AppError::Netlink)?,
        desired: DesiredPeers::new(),
    })
}

/// Returns whether this node has been drained and another node takes its new flows. If all nodes drain, none
/// leaves.
fn is_drained(state: &AgentState) -> bool {
    state.draining && state.nodes.iter().any(|node| !node.is_self && !node.draining)
}

/// What the settings of the plan take from the maps, which may be adopted.
struct MapSetup {
    flags: u16,
    ring_slots: u32,
    flow_sets: u32,
}

impl MapSetup {
    /// Returns whether the node of an earlier agent drained, and may have done so because its health check
    /// failed.
    fn was_unhealthy(&self, options: &AgentOptions) -> bool {
        let has_drained = self.flags & (CONFIG_DRAINING | CONFIG_DRAIN_REQUESTED) == CONFIG_DRAINING;
        has_drained && options.health_check.is_some()
    }

    fn of(maps: &Maps) -> Result<Self, MapsError> {
        Ok(Self {
            flags: maps.config()?.map_or(0, |config| config.flags),
            ring_slots: maps.ring_capacity() as u32,
            flow_sets: maps.flow_sets(),
        })
    }
}

fn settings(options: &AgentOptions, maps: &MapSetup, nonce: u64) -> Settings {
    Settings {
        node: options.node.clone(),
        hash_key: options.hash_key,
        tag_keys: options.tag_keys.keys(),
        accept_ipip: options.accept_ipip,
        echo_rate: options.echo_rate,
        icmp_error_rate: options.icmp_error_rate,
        undeclared: options.undeclared,
        forwarding: options.forwarding,
        slots_per_node: options.slots_per_node,
        // An adopted map may have another size than the option.
        ring_capacity: maps.ring_slots,
        flow_sets: maps.flow_sets,
        liveness: liveness(options, nonce),
        // A drain that an earlier agent was asked for lasts until it is ended.
        draining: maps.flags & CONFIG_DRAIN_REQUESTED != 0,
        unhealthy: maps.was_unhealthy(options),
        ignore_exclude_label: options.ignore_exclude_label,
        local_needs_endpoint: options.speaker.local_needs_endpoint,
        agent_limit: options.dead_man,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        weight_settle: Settings::WEIGHT_SETTLE,
    }
}

fn liveness(options: &AgentOptions, nonce: u64) -> LivenessSettings {
    let Some(profile) = options.liveness else { return LivenessSettings::default() };
    let tick = profile.interval / TICKS_PER_INTERVAL;
    LivenessSettings {
        limit: ProbeClock::limit(profile.multiplier.into()),
        hold: (options.hold.as_micros() / tick.as_micros().max(1)) as u32,
        nonce,
    }
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
