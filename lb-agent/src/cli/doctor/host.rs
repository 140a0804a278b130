//! What the doctor reads from the host.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use aya::programs::loaded_programs;
use lb_dataplane::net::link::{self, Device, DeviceKind};
use lb_dataplane::object::{PROGRAM, TRACE_PROGRAM};
use lb_explain::doctor::{DoctorFacts, UplinkFacts};
use nix::sys::resource::{Resource, getrlimit};

use crate::commands;

/// The ports that the agent listens on by default.
const PORTS: [(u16, &str); 2] = [(179, "BGP"), (7472, "metrics in the chart")];
/// The interface that carries addresses in kube-proxy's IPVS mode.
const IPVS: &str = "/sys/class/net/kube-ipvs0";
/// Offloads that merge packets before XDP sees them: their names in `ethtool -k` and in `ethtool -K`.
const OFFLOADS: [(&str, &str); 2] = [("large-receive-offload", "lro"), ("rx-gro-hw", "rx-gro-hw")];

/// Reads what the checks of this host need.
pub(super) fn facts(
    interfaces: &[String],
    refused: Vec<String>,
    missing_lookups: Option<String>,
    is_agent_running: bool,
) -> DoctorFacts {
    let arp = |setting| sysctl(&format!("net/ipv4/conf/all/{setting}")).unwrap_or(0);
    let forwarding = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];
    DoctorFacts {
        refused,
        uplinks: interfaces.iter().filter_map(|name| uplink(name)).collect(),
        all_rp_filter: sysctl("net/ipv4/conf/all/rp_filter").unwrap_or(0),
        forwards: forwarding.map(|setting| sysctl(setting).map(|value| value != 0)),
        ipvs_arp: Path::new(IPVS).exists().then(|| (arp("arp_ignore"), arp("arp_announce"))),
        missing_lookups,
        files: getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard),
        ports: PORTS.iter().map(|(port, used_for)| (*port, *used_for, is_taken(*port))).collect(),
        is_agent_running,
    }
}

fn uplink(name: &str) -> Option<UplinkFacts> {
    let device = link::by_name_blocking(name)?;
    Some(UplinkFacts {
        name: name.to_owned(),
        mtu: device.mtu,
        rp_filter: sysctl(&format!("net/ipv4/conf/{name}/rp_filter")).unwrap_or(0),
        is_veth: device.kind == DeviceKind::Veth,
        has_carrier: device.has_carrier,
        offloads: offloads(name),
        other_program: other_program(&device),
    })
}

/// Returns the value of a sysctl; `None` if this kernel has none, as without IPv6.
fn sysctl(path: &str) -> Option<u8> {
    fs::read_to_string(format!("/proc/sys/{path}")).ok()?.trim().parse().ok()
}

/// Returns the offloads in the way that are on. Without `ethtool`, none is known.
fn offloads(name: &str) -> Vec<&'static str> {
    let Some((true, features)) = commands::run("ethtool", &["-k", name]) else { return Vec::new() };
    let is_on = |feature: &str| {
        let line = format!("{feature}: on");
        features.lines().any(|it| it.trim().starts_with(&line))
    };
    OFFLOADS.iter().filter(|(feature, _)| is_on(feature)).map(|(_, option)| *option).collect()
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
