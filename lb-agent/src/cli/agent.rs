//! `fairlead agent`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use lb_bgp::value::RouterId;
use lb_common::flows::WAYS;
use lb_common::forwarding::ForwardingMode;
use lb_common::hash::HashKey;
use lb_common::maps::capacity;
use lb_model::{AnnotationRule, DrainRules, NodeName, TaintRule};
use lb_plan::plan::{Forwarding, UndeclaredPorts};

use super::{PinArgs, SocketArgs};
use crate::app::{self, AgentOptions, AppError, SpeakerOptions};
use crate::hash_key;
use crate::status_reporter::ReporterOptions;
use crate::tag_keys::{TagKeysError, TagKeysFile};
use lb_dataplane::attach::{DesiredMode, MapSizes};
use lb_dataplane::kernel_lookup::KernelLookup;
use lb_dataplane::liveness::ProbeProfile;
use lb_kube::source::SourceOptions;

/// Arguments of `fairlead agent`.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Directory with the objects as YAML files; watched, so a change takes effect at once. Without it, they come
    /// from Kubernetes.
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Cluster that the objects come from; without it, that of KUBECONFIG or of this pod.
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the objects of metallb.io, and of their Secrets.
    #[arg(long, env = "FAIRLEAD_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    namespace: String,
    /// Pod that this agent runs in: it owns what the agent writes to the cluster, which goes with it.
    #[arg(long, env = "FAIRLEAD_POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    /// Status objects written to the cluster, a second, while there are any to write; 0 writes none, and no Events.
    #[arg(long, default_value_t = 10, value_name = "N")]
    status_rate: u32,
    /// Name of this node, as its Node object has it.
    #[arg(long, env = "FAIRLEAD_NODE_NAME", value_name = "NAME")]
    node: String,
    /// An uplink: packets for VIPs come in by it. May be given more than once; without it, the interfaces of the
    /// default routes.
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,
    /// How the XDP program runs on the uplinks.
    #[arg(long, value_enum, default_value = "auto")]
    xdp_mode: XdpModeArg,
    /// How packets are carried to other nodes.
    #[arg(long, value_parser = forwarding_modes(), default_value = Forwarding::AUTO)]
    forwarding: Forwarding,
    /// Take IP in IP from other nodes, before they send it; always on with --forwarding ipip. Nothing but its source
    /// address says that such a packet is a node's: filter node addresses as sources at the network's border.
    #[arg(long)]
    accept_ipip: bool,
    /// File with the cluster's secret for the flow hash: 32 hexadecimal digits, the same on every node.
    #[arg(long, value_name = "FILE")]
    hash_key_file: Option<PathBuf>,
    /// File with the keys that prove to a node that a packet is another node's, the same on every node: a line each, the
    /// one in use first, one more that is accepted: a number from 0 to 255 and 32 hexadecimal digits. Read again when it
    /// changes. Without it or while it is missing, the key is derived from the hash key: "0 hash-key".
    #[arg(long, value_name = "FILE")]
    tag_keys_file: Option<PathBuf>,
    /// ICMP echo requests to a VIP that are answered, a second and CPU; 0 answers none.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    echo_rate: u32,
    /// ICMP errors that are sent about packets to VIPs, a second and CPU: so many that a packet is too big, and so many
    /// others; 0 sends none.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    icmp_error_rate: u32,
    /// What becomes of TCP, UDP and SCTP to ports of a VIP that are none of its Services'.
    #[arg(long, value_enum, default_value = "unreachable")]
    undeclared_ports: UndeclaredPortsArg,
    /// Slots of a ring for each of its nodes, at least.
    #[arg(long, default_value_t = 256, value_name = "N")]
    slots_per_node: u32,
    /// Slots of all rings together; 34 bytes of kernel memory each.
    #[arg(long, default_value_t = capacity::RINGS as u32, value_name = "N")]
    ring_slots: u32,
    /// Flows that the flow table has room for, a power of two; 8 bytes of kernel memory each. A table that fits the
    /// processor's cache is faster; what finds no room in it is found by a detour. Maps that are pinned keep their sizes.
    #[arg(long, default_value_t = (capacity::FLOW_SETS * WAYS) as u32, value_name = "N", value_parser = flow_table)]
    flow_table: u32,
    /// Whether the XDP program asks this node's kernel if it has a TCP connection that the flow table does not know,
    /// before it sends a packet on to another node.
    #[arg(long, value_enum, default_value = "auto")]
    ask_kernel: KernelLookup,
    /// Serve Services of this load-balancer class only; without it, those that name none.
    #[arg(long, value_name = "CLASS")]
    lb_class: Option<String>,
    /// Let nodes announce that have label node.kubernetes.io/exclude-from-external-load-balancers; the same on every
    /// node.
    #[arg(long)]
    ignore_exclude_lb: bool,
    /// Announce a Service with externalTrafficPolicy Local by BGP only from nodes with an endpoint that serves, as
    /// MetalLB does; without it, from every node, since packets go on to where the endpoints are.
    #[arg(long)]
    local_needs_endpoint: bool,
    #[command(flatten)]
    drain: DrainArgs,
    /// Time between two S-BFD probes of a node, in milliseconds; 0 probes nobody, and nobody is found dead.
    #[arg(long, default_value_t = 50, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    liveness_interval: u64,
    /// Intervals without an answer after which a node is dead.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(2..))]
    liveness_multiplier: u8,
    /// How long flows that nobody knows wait after a node of theirs has died, in case it comes back, in
    /// milliseconds.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    orphan_grace: u64,
    /// Where routers may connect; 0: sessions are only opened from here.
    #[arg(long, default_value_t = 179, value_name = "PORT")]
    bgp_port: u16,
    /// This node's BGP identifier, written as an IPv4 address; without it, the node's IPv4 address.
    #[arg(long, value_name = "ID", value_parser = router_id)]
    router_id: Option<RouterId>,
    /// For how long routers are asked to prefer other nodes before this agent ends, in milliseconds; 0 does
    /// not ask.
    #[arg(long, default_value_t = 2000, value_name = "MS")]
    shutdown_grace: u64,
    /// Where metrics and health are served over HTTP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_address: Option<SocketAddr>,
    /// File in which the agent notes the pools, routers and advertisements as it accepted them last, so that one that
    /// is wrong stays as it was when the agent restarts; without it, beside the socket: agent.accepted.json.
    #[arg(long, value_name = "FILE")]
    accepted_file: Option<PathBuf>,
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

/// By what nodes drain. Every node must be told the same.
#[derive(Debug, Args)]
struct DrainArgs {
    /// Drain a node that has this taint. May be given more than once.
    #[arg(long, value_name = "KEY[=VALUE][:EFFECT]")]
    drain_on_taint: Vec<TaintRule>,
    /// Drain a node whose Node object has this annotation, beside fairlead.io/drain=true, which always does. May be
    /// given more than once.
    #[arg(long, value_name = "KEY[=VALUE]")]
    drain_annotation: Vec<AnnotationRule>,
    /// Drain a node that is cordoned.
    #[arg(long)]
    drain_on_cordon: bool,
    /// Drain a node whose kubelet says that the machine is shutting down; it learns of that if it has a
    /// shutdownGracePeriod.
    #[arg(long)]
    drain_on_shutdown: bool,
}

impl From<DrainArgs> for DrainRules {
    fn from(args: DrainArgs) -> Self {
        Self {
            annotations: args.drain_annotation,
            taints: args.drain_on_taint,
            cordon: args.drain_on_cordon,
            shutdown: args.drain_on_shutdown,
        }
    }
}

/// How the XDP program runs on the uplinks.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum XdpModeArg {
    /// In the driver where it has XDP; in the stack elsewhere, and on a veth.
    Auto,
    /// In the driver only. The other end of a veth then needs an XDP program or GRO.
    Native,
    /// In the stack, which costs several times as much.
    Generic,
}

/// The forwarding modes as an option takes them.
fn forwarding_modes() -> impl TypedValueParser<Value = Forwarding> {
    let about = |mode: ForwardingMode| match mode {
        ForwardingMode::L2 => "A MAC rewrite only",
        ForwardingMode::Gue => "GUE only",
        ForwardingMode::Ipip => {
            "IP in IP, and GUE where a packet has to say who has been asked for it before. Nothing but its source address \
             says that a packet is a node's: filter node addresses as sources at the network's border"
        }
    };
    let auto =
        PossibleValue::new(Forwarding::AUTO).help("A MAC rewrite where the node is on-link, GUE otherwise");
    let modes = ForwardingMode::ALL.map(|mode| PossibleValue::new(mode.as_str()).help(about(mode)));
    PossibleValuesParser::new([auto].into_iter().chain(modes)).try_map(|name| name.parse::<Forwarding>())
}

/// What becomes of packets to undeclared ports of a VIP.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UndeclaredPortsArg {
    /// Drop them, and answer with ICMP port unreachable within --icmp-error-rate.
    Unreachable,
    /// Drop them.
    Drop,
    /// Leave them to the node's network stack, which sends them back to where they came from.
    Pass,
}

/// Why `fairlead agent` ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The secret cannot be read.
    #[error("cannot read the hash key {}: {reason}", .path.display())]
    HashKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The keys of tags cannot be read.
    #[error("cannot read the tag keys {}: {reason}", .path.display())]
    TagKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        reason: TagKeysError,
    },
    /// The runtime cannot be built.
    #[error("cannot start: {0}")]
    Runtime(#[source] std::io::Error),
    /// The agent does not run.
    #[error(transparent)]
    App(#[from] AppError),
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// See [`AgentError`].
pub fn run(args: AgentArgs) -> Result<(), AgentError> {
    let options = options(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(AgentError::Runtime)?;
    Ok(runtime.block_on(app::run(options))?)
}

fn options(args: AgentArgs) -> Result<AgentOptions, AgentError> {
    let hash_key = match &args.hash_key_file {
        Some(path) => {
            hash_key::read(path).map_err(|reason| AgentError::HashKey { path: path.to_path_buf(), reason })?
        }
        None => {
            tracing::warn!(
                "no --hash-key-file: the flow hash is not secret, so a client can aim at one node, and without \
                 --tag-keys-file anybody can speak for a node"
            );
            HashKey::default()
        }
    };
    let path = args.tag_keys_file.clone().unwrap_or_default();
    let tag_keys = TagKeysFile::open(args.tag_keys_file, hash_key)
        .map_err(|reason| AgentError::TagKeys { path, reason })?;
    Ok(AgentOptions {
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
        last_good: args.accepted_file.unwrap_or_else(|| args.socket.socket.with_extension("accepted.json")),
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
        liveness: (args.liveness_interval > 0).then(|| ProbeProfile {
            interval: Duration::from_millis(args.liveness_interval),
            multiplier: args.liveness_multiplier,
        }),
        hold: Duration::from_millis(args.orphan_grace),
        reporter: ReporterOptions { pod: args.pod_name, rate: args.status_rate },
        speaker: SpeakerOptions {
            port: args.bgp_port,
            router_id: args.router_id,
            local_needs_endpoint: args.local_needs_endpoint,
            grace: Duration::from_millis(args.shutdown_grace),
        },
        metrics: args.metrics_address,
    })
}

fn router_id(text: &str) -> Result<RouterId, String> {
    let address: Ipv4Addr = text.parse().map_err(|error| format!("{error}"))?;
    RouterId::new(address).ok_or_else(|| "an identifier is not 0.0.0.0".to_owned())
}

/// Flows of the flow table: whole pages of sets, and what 2^20 sets hold at most.
fn flow_table(text: &str) -> Result<u32, String> {
    let flows: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if flows.is_power_of_two() && (512..=1 << 23).contains(&flows) {
        Ok(flows)
    } else {
        Err("must be a power of two from 512 to 8388608".to_owned())
    }
}
