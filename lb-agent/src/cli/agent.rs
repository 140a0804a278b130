//! The subcommand `fairlead agent`.

mod keeper;
mod layer2;
mod screen;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use lb_bgp::value::RouterId;
use lb_common::flows::WAYS;
use lb_common::forwarding::ForwardingMode;
use lb_common::hash::HashKey;
use lb_common::maps::capacity;
use lb_model::{AnnotationRule, ConditionRule, DrainRules, NodeName, TaintRule};
use lb_plan::plan::{Forwarding, UndeclaredPorts};

use self::keeper::KeeperArgs;
use self::layer2::Layer2Args;
use super::common::{LogArgs, PinArgs};
use super::metrics::MetricsArgs;
use super::output::{self, OutputError, OutputFormat};
use crate::app::{self, AgentOptions, AppError, SpeakerOptions};
use crate::hash_key;
use crate::status_reporter::ReporterOptions;
use crate::tag_keys::{TagKeysError, TagKeysFile};
use lb_client::common::SocketArgs;
use lb_dataplane::attach::{DesiredMode, MapSizes};
use lb_dataplane::kernel_lookup::KernelLookup;
use lb_dataplane::liveness::ProbeProfile;
use lb_kube::source::SourceOptions;
use lb_runtime::health::HealthUrl;

/// The arguments of `fairlead agent`.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Directory with the objects as YAML or JSON files. It is watched, so changes take effect at once. By
    /// default, objects are read from Kubernetes.
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Kubeconfig file of the cluster that the objects are read from. By default, KUBECONFIG or the
    /// in-cluster configuration is used.
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the metallb.io objects and of their Secrets.
    #[arg(long, env = "FAIRLEAD_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    namespace: String,
    /// Name of the agent's pod. The pod owns the objects that the agent writes, so they are deleted with it.
    #[arg(long, env = "FAIRLEAD_POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    /// Maximum rate of status objects written to the cluster, per second. 0 disables status objects and
    /// Events.
    #[arg(long, default_value_t = 10, value_name = "N")]
    status_rate: u32,
    /// Name of this node's Node object.
    #[arg(long, env = "FAIRLEAD_NODE_NAME", value_name = "NAME")]
    node: String,
    /// Uplink that receives packets for VIPs. Can be repeated. By default, the interfaces of the default
    /// routes are the uplinks.
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,
    /// XDP mode on the uplinks.
    #[arg(long, value_enum, default_value = "auto")]
    xdp_mode: XdpModeArg,
    /// Forwarding mode for packets to other nodes.
    #[arg(long, value_parser = forwarding_modes(), default_value = Forwarding::AUTO)]
    forwarding: Forwarding,
    /// Accept IP in IP from other nodes, before they switch to it. Implied by --forwarding ipip. Such a
    /// packet is authenticated only by its source address: filter node addresses as sources at the network's
    /// border.
    #[arg(long)]
    accept_ipip: bool,
    /// File with the secret key of the flow hash: 32 hexadecimal digits, identical on all nodes.
    #[arg(long, value_name = "FILE")]
    hash_key_file: Option<PathBuf>,
    /// File with the keys that authenticate packets between nodes, identical on all nodes. The first line is
    /// the key in use, an optional second line another accepted key; each has an ID from 0 to 255 and 32
    /// hexadecimal digits. The file is read again when it changes. Without the file, the key is derived from
    /// the hash key: "0 hash-key".
    #[arg(long, value_name = "FILE")]
    tag_keys_file: Option<PathBuf>,
    /// Maximum rate of replies to ICMP echo requests to VIPs, per second and CPU. 0 disables replies.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    echo_rate: u32,
    /// Maximum rate of ICMP errors about packets to VIPs, per second and CPU, counted separately for "packet
    /// too big" and all others. 0 disables them.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    icmp_error_rate: u32,
    /// Action on TCP, UDP and SCTP packets to a port of a VIP that no Service declares.
    #[arg(long, value_enum, default_value = "unreachable")]
    undeclared_ports: UndeclaredPortsArg,
    /// Minimum number of slots per node in a ring.
    #[arg(long, default_value_t = 256, value_name = "N")]
    slots_per_node: u32,
    /// Capacity for the slots of all rings, at 34 bytes of kernel memory each.
    #[arg(long, default_value_t = capacity::RINGS as u32, value_name = "N")]
    ring_slots: u32,
    /// Capacity of the flow table, a power of two, at 8 bytes of kernel memory per flow. A table that fits
    /// the CPU's cache is faster; packets of flows without an entry take a detour. Pinned maps keep their
    /// size.
    #[arg(long, default_value_t = (capacity::FLOW_SETS * WAYS) as u32, value_name = "N", value_parser = flow_table)]
    flow_table: u32,
    /// Look up TCP connections that the flow table does not contain in this node's kernel, before their
    /// packets are forwarded to another node.
    #[arg(long, value_enum, default_value = "auto")]
    ask_kernel: KernelLookup,
    /// Serve only Services with this loadBalancerClass. By default, only Services without a class are served.
    #[arg(long, value_name = "CLASS")]
    lb_class: Option<String>,
    /// Ignore the node label node.kubernetes.io/exclude-from-external-load-balancers. Must be identical on
    /// all nodes.
    #[arg(long)]
    ignore_exclude_lb: bool,
    /// Advertise Services with externalTrafficPolicy Local to BGP peers only from nodes with a serving
    /// endpoint, as MetalLB does. By default, all nodes advertise them and forward packets to the nodes with
    /// endpoints.
    #[arg(long)]
    local_needs_endpoint: bool,
    #[command(flatten)]
    drain: DrainArgs,
    /// Drain this node while an HTTP server on it fails, such as kube-proxy's health port: after three checks
    /// in a row without a status of success, one every two seconds, until five in a row have it.
    #[arg(long, value_name = "URL")]
    health_check: Option<HealthUrl>,
    /// Interval of S-BFD probes to each node, in milliseconds. 0 disables probes: dead nodes are not
    /// detected.
    #[arg(long, default_value_t = 50, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    liveness_interval: u64,
    /// Number of intervals without an answer after which a node is dead.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(2..))]
    liveness_multiplier: u8,
    /// How long packets of unknown flows are dropped (not reset) after a node of their slot died, in
    /// milliseconds.
    #[arg(long = "orphan-grace", default_value_t = 1000, value_name = "MS")]
    hold: u64,
    #[command(flatten)]
    layer2: Layer2Args,
    /// TCP port on which BGP peers can connect. 0 disables it: sessions are only opened from this node.
    #[arg(long, default_value_t = 179, value_name = "PORT")]
    bgp_port: u16,
    /// BGP identifier of this node, in IPv4 notation. By default, the node's IPv4 address is used.
    #[arg(long, value_name = "ID", value_parser = router_id)]
    router_id: Option<RouterId>,
    /// How long the agent asks BGP peers to prefer other nodes before it stops (GRACEFUL_SHUTDOWN, RFC 8326),
    /// in milliseconds. 0 disables it.
    #[arg(long, default_value_t = 2000, value_name = "MS")]
    shutdown_grace: u64,
    #[command(flatten)]
    keeper: KeeperArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    /// Whether the metrics port also serves the status page: at /, with its data at /status.json.
    #[arg(long, value_enum, default_value = "on")]
    status_page: StatusPageArg,
    /// File in which the agent stores the last-known-good pools, BGP peers and advertisements. After a
    /// restart, an invalid object keeps its last valid version. By default, agent.accepted.json in the
    /// directory of the socket.
    #[arg(long, alias = "accepted-file", value_name = "FILE")]
    last_good_file: Option<PathBuf>,
    /// Print what the agent would attach, write, advertise and announce, and change nothing. `full` lists
    /// each map operation. The command fails if the agent would not start, or an object has an error.
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "summary", value_name = "DETAIL")]
    dry_run: Option<DryRun>,
    /// Output format of the dry run.
    #[arg(short, long, value_enum, default_value = "table", requires = "dry_run")]
    output: OutputFormat,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DryRun {
    /// Numbers of map operations.
    Summary,
    /// Each map operation.
    Full,
}

impl AgentArgs {
    /// Sets up the log. A dry run prints its findings itself.
    pub fn init_log(&self) {
        self.log.init(if self.dry_run.is_some() { "warn" } else { "info" });
    }
}

/// The rules by which nodes drain. They must be identical on all nodes.
#[derive(Debug, Args)]
struct DrainArgs {
    /// Drain nodes with this taint. Can be repeated.
    #[arg(long, value_name = "KEY[=VALUE][:EFFECT]")]
    drain_on_taint: Vec<TaintRule>,
    /// Drain nodes with this annotation, in addition to fairlead.io/drain=true. Can be repeated.
    #[arg(long, value_name = "KEY[=VALUE]")]
    drain_annotation: Vec<AnnotationRule>,
    /// Drain nodes with this condition, with status True if none is given. Can be repeated.
    #[arg(long, value_name = "TYPE[=STATUS]")]
    drain_on_condition: Vec<ConditionRule>,
    /// Drain cordoned nodes.
    #[arg(long)]
    drain_on_cordon: bool,
    /// Drain nodes whose kubelet reports a shutdown of the machine, which requires a shutdownGracePeriod.
    #[arg(long)]
    drain_on_shutdown: bool,
}

impl From<DrainArgs> for DrainRules {
    fn from(args: DrainArgs) -> Self {
        Self {
            annotations: args.drain_annotation,
            taints: args.drain_on_taint,
            conditions: args.drain_on_condition,
            cordon: args.drain_on_cordon,
            shutdown: args.drain_on_shutdown,
        }
    }
}

/// The XDP mode on the uplinks.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum XdpModeArg {
    /// Native if the driver supports it, otherwise generic; generic on a veth.
    Auto,
    /// In the driver. The peer of a veth then needs an XDP program or GRO.
    Native,
    /// In the network stack, at several times the CPU cost.
    Generic,
}

/// Returns the parser of `--forwarding`, from the names that the modes have.
fn forwarding_modes() -> impl TypedValueParser<Value = Forwarding> {
    let about = |mode: ForwardingMode| match mode {
        ForwardingMode::L2 => "MAC rewrite only",
        ForwardingMode::Gue => "GUE only",
        ForwardingMode::Ipip => {
            "IP in IP; GUE for packets that carry a list of the nodes already asked. IP in IP is authenticated only by \
             its source address: filter node addresses as sources at the network's border"
        }
    };
    let auto = PossibleValue::new(Forwarding::AUTO).help("MAC rewrite to on-link nodes, GUE to others");
    let modes = ForwardingMode::ALL.map(|mode| PossibleValue::new(mode.as_str()).help(about(mode)));
    PossibleValuesParser::new([auto].into_iter().chain(modes)).try_map(|name| name.parse::<Forwarding>())
}

/// Whether the status page is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatusPageArg {
    /// To all clients that may read metrics.
    On,
    /// To none.
    Off,
}

/// The action on packets to undeclared ports of a VIP.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UndeclaredPortsArg {
    /// Drop them, and send ICMP port unreachable within --icmp-error-rate.
    Unreachable,
    /// Drop them.
    Drop,
    /// Pass them to the node's network stack, which routes them back to where they came from.
    Pass,
}

/// An error that ends `fairlead agent`.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The hash key cannot be read.
    #[error("cannot read the hash key from {}: {reason}", .path.display())]
    HashKey {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The tag keys cannot be read.
    #[error("cannot read the tag keys from {}: {reason}", .path.display())]
    TagKeys {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        reason: TagKeysError,
    },
    /// The runtime cannot be created.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// The result of a dry run cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The agent failed.
    #[error(transparent)]
    App(#[from] AppError),
}

/// Runs the agent until it receives a signal to stop; or prints what it would do, and returns a failure if it
/// would not start or an object has an error.
///
/// # Errors
/// See [`AgentError`].
pub fn run(args: AgentArgs) -> Result<ExitCode, AgentError> {
    let (dry_run, output) = (args.dry_run, args.output);
    let options = options(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(AgentError::Runtime)?;
    let Some(detail) = dry_run else {
        runtime.block_on(app::run(options))?;
        return Ok(ExitCode::SUCCESS);
    };
    let preview = runtime.block_on(app::dry_run::preview(options))?;
    let text = output.document(&preview)?;
    output::print(&text.unwrap_or_else(|| screen::render(&preview, detail == DryRun::Full)))?;
    Ok(if preview.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options(args: AgentArgs) -> Result<AgentOptions, AgentError> {
    let hash_key = match &args.hash_key_file {
        Some(path) => {
            hash_key::read(path).map_err(|reason| AgentError::HashKey { path: path.to_path_buf(), reason })?
        }
        None => {
            tracing::warn!(
                "--hash-key-file is not set: the flow hash is not secret, so clients can direct their flows to one \
                 node; without --tag-keys-file, anyone can forge packets between nodes"
            );
            HashKey::default()
        }
    };
    let path = args.tag_keys_file.clone().unwrap_or_default();
    let tag_keys = TagKeysFile::open(args.tag_keys_file, hash_key)
        .map_err(|reason| AgentError::TagKeys { path, reason })?;
    let dead_man = Duration::from_secs(args.keeper.dead_man);
    Ok(AgentOptions {
        keeper: args.keeper.options(&args.socket, &args.log, args.source.is_some()),
        dead_man,
        source: match args.source {
            Some(directory) => SourceOptions::Directory(directory),
            None => SourceOptions::Kubernetes { kubeconfig: args.kubeconfig, namespace: args.namespace },
        },
        node: NodeName::from(args.node.as_str()),
        interfaces: args.interfaces,
        mode: match args.xdp_mode {
            XdpModeArg::Auto => DesiredMode::Auto,
            XdpModeArg::Native => DesiredMode::Native,
            XdpModeArg::Generic => DesiredMode::Generic,
        },
        bpffs: args.pins.bpffs,
        last_good: args.last_good_file.unwrap_or_else(|| args.socket.last_good()),
        socket: args.socket.socket,
        hash_key,
        tag_keys,
        accept_ipip: args.accept_ipip || args.forwarding == Forwarding::Always(ForwardingMode::Ipip),
        forwarding: args.forwarding,
        echo_rate: args.echo_rate,
        icmp_error_rate: args.icmp_error_rate,
        undeclared: match args.undeclared_ports {
            UndeclaredPortsArg::Unreachable => UndeclaredPorts::Unreachable,
            UndeclaredPortsArg::Drop => UndeclaredPorts::Drop,
            UndeclaredPortsArg::Pass => UndeclaredPorts::Pass,
        },
        slots_per_node: args.slots_per_node,
        sizes: MapSizes { ring_slots: args.ring_slots, flow_sets: args.flow_table / WAYS as u32 },
        ask_kernel: args.ask_kernel,
        class: args.lb_class,
        ignore_exclude_label: args.ignore_exclude_lb,
        drain: args.drain.into(),
        health_check: args.health_check,
        liveness: (args.liveness_interval > 0).then(|| ProbeProfile {
            interval: Duration::from_millis(args.liveness_interval),
            multiplier: args.liveness_multiplier,
        }),
        hold: Duration::from_millis(args.hold),
        layer2: args.layer2.into(),
        reporter: ReporterOptions { pod: args.pod_name, rate: args.status_rate },
        speaker: SpeakerOptions {
            port: args.bgp_port,
            router_id: args.router_id,
            local_needs_endpoint: args.local_needs_endpoint,
            grace: Duration::from_millis(args.shutdown_grace),
        },
        metrics: args.metrics.options(&args.node),
        status_page: args.status_page == StatusPageArg::On,
    })
}

fn router_id(text: &str) -> Result<RouterId, String> {
    let address: Ipv4Addr = text.parse().map_err(|error| format!("{error}"))?;
    RouterId::new(address).ok_or_else(|| "a BGP identifier cannot be 0.0.0.0".to_owned())
}

/// Parses the capacity of the flow table: at least a page of sets, at most 2^20 sets.
fn flow_table(text: &str) -> Result<u32, String> {
    let flows: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if flows.is_power_of_two() && (512..=1 << 23).contains(&flows) {
        Ok(flows)
    } else {
        Err("must be a power of two from 512 to 8388608".to_owned())
    }
}
