//! What measurements have instead of an agent's surroundings: a network on which every node is on-link,
//! default settings, and the cost of work in this process.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_common::hash::HashKey;
use lb_model::{Model, NodeName};
use lb_plan::plan::{
    Facts, Forwarding, LivenessSettings, ResolvedNextHop, Settings, UndeclaredPorts, Uplink,
};
use nix::time::{ClockId, clock_gettime};

/// Slots of the ring map: for a ring of a thousand nodes, the one that replaces it, and those of a hundred
/// Services with policy Local.
pub(crate) const RING_SLOTS: u32 = 1 << 20;

/// Returns the CPU time of this thread, in seconds: other processes do not count.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default();
    let begun = now();
    let done = work();
    (done, now().saturating_sub(begun).as_secs_f64())
}

/// Returns a line of this process's status, in bytes.
pub(crate) fn memory(key: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

/// Every node is on-link.
pub(crate) fn facts(model: &Model, own: &NodeName) -> Facts {
    let uplink = Uplink { name: "eth0".into(), mac: [2, 0, 0, 0, 0, 1], mtu: 1500, ..Uplink::default() };
    let source = model.nodes.get(own).map_or(Ipv4Addr::LOCALHOST.into(), |node| node.primary());
    let way =
        ResolvedNextHop { ifindex: 2, next_hop_mac: [2, 0, 0, 0, 0, 2], on_link: true, mtu: 1500, source };
    let next_hops =
        model.addresses_to_resolve(own).into_iter().map(|address| (address, way.clone())).collect();
    Facts { uplinks: [(2, uplink)].into(), next_hops, ..Facts::default() }
}

/// The defaults of an agent on this node.
pub(crate) fn settings(node: &NodeName) -> Settings {
    Settings {
        node: node.clone(),
        hash_key: HashKey::default(),
        tag_keys: lb_common::tag::TagKeys::derived(&HashKey::default()),
        accept_ipip: false,
        echo_rate: 1000,
        icmp_error_rate: 1000,
        undeclared: UndeclaredPorts::Pass,
        forwarding: Forwarding::Auto,
        slots_per_node: 256,
        ring_capacity: RING_SLOTS,
        flow_sets: 1 << 17,
        liveness: LivenessSettings::default(),
        draining: false,
        unhealthy: false,
        ignore_exclude_label: false,
        local_needs_endpoint: false,
        agent_limit: Duration::ZERO,
        former_grace: Settings::FORMER_GRACE,
        udp_grace: Settings::UDP_GRACE,
        weight_settle: Settings::WEIGHT_SETTLE,
    }
}
