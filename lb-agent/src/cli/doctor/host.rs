//! What the doctor reads from the host.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZero;
use std::thread;

use aya::programs::loaded_programs;
use lb_dataplane::net::ethtool::{self, DeviceQueues};
use lb_dataplane::net::link::{self, Device, DeviceKind};
use lb_dataplane::net::uplink_path::UplinkPath;
use lb_dataplane::object::{PROGRAM, TRACE_PROGRAM};
use lb_explain::doctor::kube_proxy::{IPVS_DEVICE, KubeProxy, KubeProxyTraces};
use lb_explain::doctor::{DoctorFacts, QueueFacts, UplinkFacts};
use nix::sys::resource::{Resource, getrlimit};

use lb_runtime::commands;

/// The ports that the agent listens on by default.
const PORTS: [(u16, &str); 2] = [(179, "BGP"), (7472, "metrics in the chart")];
/// Below a BPF file system, the directory of Cilium's maps.
const CILIUM_MAPS: &str = "/sys/fs/bpf/tc/globals";
/// Offloads that merge packets before XDP sees them: their names in `ethtool -k` and in `ethtool -K`.
const OFFLOADS: [(&str, &str); 2] = [("large-receive-offload", "lro"), ("rx-gro-hw", "rx-gro-hw")];

/// Reads what the checks of this host need.
pub(super) fn facts(
    interfaces: &[String],
    refused: Vec<String>,
    missing_lookups: Option<String>,
    is_agent_running: bool,
) -> DoctorFacts {
    let devices = link::all_blocking();
    let kube_proxy = kube_proxy(&devices);
    let is_ipvs = devices.iter().any(|device| device.name == IPVS_DEVICE);
    let arp = |setting| sysctl(&format!("net/ipv4/conf/all/{setting}")).unwrap_or(0);
    let forwarding = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];
    DoctorFacts {
        refused,
        uplinks: interfaces.iter().filter_map(|name| uplink(name, &devices)).collect(),
        all_rp_filter: sysctl("net/ipv4/conf/all/rp_filter").unwrap_or(0),
        forwards: forwarding.map(|setting| sysctl(setting).map(|value| value != 0)),
        ipvs_arp: is_ipvs.then(|| (arp("arp_ignore"), arp("arp_announce"))),
        kube_proxy,
        missing_lookups,
        files: getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard),
        ports: PORTS.iter().map(|(port, used_for)| (*port, *used_for, is_taken(*port))).collect(),
        is_agent_running,
    }
}

/// Reads the traces of kube-proxy, and of what replaces it.
fn kube_proxy(devices: &[Device]) -> KubeProxy {
    let read = |program: &str, arguments: &[&str]| {
        commands::run(program, arguments).filter(|it| it.0).map_or_else(String::new, |it| it.1)
    };
    let pins = fs::read_dir(CILIUM_MAPS).into_iter().flatten().flatten();
    let pins: Vec<String> = pins.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let interfaces: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
    KubeProxy::recognize(KubeProxyTraces {
        nft_tables: &read("nft", &["list", "tables"]),
        node_port_set: &read("nft", &["list", "set", "ip", "kube-proxy", "nodeport-ips"]),
        iptables: &read("iptables", &["-t", "nat", "-S"]),
        interfaces: &interfaces.join(" "),
        pins: &pins.join(" "),
    })
}

fn uplink(name: &str, devices: &[Device]) -> Option<UplinkFacts> {
    let device = devices.iter().find(|device| device.name == name)?;
    let path = UplinkPath::find(name, devices)?;
    let ports: Vec<String> = path.ports().into_iter().map(str::to_owned).collect();
    let strips = |port: &&String| ethtool::has_feature(port, "rx-vlan-offload");
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Some(UplinkFacts {
        name: name.to_owned(),
        vlans_above: path.vlans_above(devices),
        tag_strippers: ports.iter().filter(strips).cloned().collect(),
        is_generic: path.choice().is_generic(),
        veth_members: path.veth_members().into_iter().map(str::to_owned).collect(),
        queues: ports.iter().filter_map(|port| queues(port)).collect(),
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
        is_native: device.program.is_some_and(|program| !program.is_generic),
        path: (!path.is_plain()).then(|| (path.to_string(), path.choice().to_string())),
        mtu: device.mtu,
        rp_filter: sysctl(&format!("net/ipv4/conf/{name}/rp_filter")).unwrap_or(0),
        is_veth: device.kind == DeviceKind::Veth,
        has_carrier: device.has_carrier,
        offloads: ports.iter().flat_map(|port| offloads(port)).collect(),
        other_program: other_program(device),
    })
}

/// Returns the value of a sysctl; `None` if this kernel has none, as without IPv6.
fn sysctl(path: &str) -> Option<u8> {
    fs::read_to_string(format!("/proc/sys/{path}")).ok()?.trim().parse().ok()
}

/// Returns the offloads of a device in the way that are on, as `ethtool` takes them.
fn offloads(port: &str) -> Vec<(String, &'static str)> {
    let is_on = OFFLOADS.iter().filter(|(feature, _)| ethtool::has_feature(port, feature));
    is_on.map(|(_, option)| (port.to_owned(), *option)).collect()
}

/// Returns the driver of a device and its queues, if they are known.
fn queues(port: &str) -> Option<QueueFacts> {
    let DeviceQueues { driver, used, available } = ethtool::queues(port)?;
    Some(QueueFacts { device: port.to_owned(), driver, used, available })
}

/// Returns name and ID of the XDP program of others on an interface.
fn other_program(device: &Device) -> Option<String> {
    let id = device.program?.id;
    let info = loaded_programs().flatten().find(|info| info.id() == id);
    let name = info.and_then(|info| info.name_as_str().map(str::to_owned)).unwrap_or_default();
    let is_ours = [PROGRAM, TRACE_PROGRAM].contains(&name.as_str());
    (!is_ours).then(|| format!("{name} (ID {id})"))
}

fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}
