//! A lab of one segment, and handles to what tests of it need.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::frames::HostMac;
use super::observer::{Questions, SegmentObserver};
use super::wire::Wire;
use crate::lab::addresses::{HostAddresses, IpVersion};
use crate::lab::{ExternalPolicy, Lab, LabAgentOptions, LabHost, LabNode, Topology, agents};

/// A host of the segment that asks and connects.
pub const OBSERVER: &str = "r1";
/// A host of the segment that is no node, and may take an address.
pub const STRANGER: &str = "r2";
/// The interface of all of them.
pub const LINK: &str = "eth0";
/// The time that a node which returns leaves its addresses to others, in these tests.
pub const PREEMPT_AFTER: Duration = Duration::from_secs(2);

/// How long nodes may take until they call themselves stable.
const STABLE_WITHIN: Duration = Duration::from_secs(30);
/// A few probes of nodes, the search for duplicates, and the announcements of the start.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// How liveness is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The interval of probes, in milliseconds.
    pub interval: u32,
    /// The number of probes without an answer.
    pub multiplier: u32,
}

impl Detection {
    /// The default.
    pub const DEFAULT: Self = Self { interval: 50, multiplier: 3 };
    /// The fastest.
    pub const FAST: Self = Self { interval: 10, multiplier: 3 };

    /// Returns the detection time.
    #[must_use]
    pub fn time(self) -> Duration {
        Duration::from_millis(u64::from(self.interval * self.multiplier))
    }
}

/// Returns the addresses of the VIP at this place, in the networks of rack a.
#[must_use]
pub fn vip(place: u8) -> HostAddresses {
    HostAddresses {
        v4: Ipv4Addr::new(10, 1, 0, 100 + place),
        v6: Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 1, place.into()),
    }
}

/// Returns the VIPs of both families at these places.
#[must_use]
pub fn vips(places: std::ops::Range<u8>) -> Vec<IpAddr> {
    places.flat_map(|place| IpVersion::BOTH.map(|family| vip(place).of(family))).collect()
}

/// Returns a lab with the observer, the stranger, nodes with a pod each, and Services of two VIPs each.
#[must_use]
pub fn topology(nodes: u8, services: u8, policy: ExternalPolicy) -> Topology {
    let mut topology = Topology::empty().router('a', 1).router('a', 2);
    for number in 1..=nodes {
        topology = topology.node('a', number).pods(&format!("n{number}"), "web", 1);
    }
    for place in 0..services {
        let addresses = IpVersion::BOTH.map(|family| vip(place).of(family));
        topology = topology.service(&format!("web-{place}"), "web", &addresses, policy);
    }
    topology
}

/// Lets nodes announce all VIPs while they are live, the first ones first.
#[must_use]
pub fn preferring(mut topology: Topology, nodes: &[&str]) -> Topology {
    let preferences = nodes.iter().zip((1..=nodes.len()).rev()).map(|(node, weight)| {
        json!({ "weight": weight, "preference": { "matchLabels": { "kubernetes.io/hostname": node } } })
    });
    topology.layer2["preferredNodeSelectors"] = preferences.collect();
    topology
}

/// Returns the options of agents that detect dead nodes so.
#[must_use]
pub fn options(detection: Detection) -> LabAgentOptions {
    let arguments = [
        ("--liveness-interval", detection.interval.to_string()),
        ("--liveness-multiplier", detection.multiplier.to_string()),
        ("--l2-preempt-after", format!("{}s", PREEMPT_AFTER.as_secs())),
    ];
    let arguments = arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
    LabAgentOptions { arguments, ..LabAgentOptions::default() }
}

/// Starts all agents, as if each had a machine of its own: a lab's nodes share the cores of one.
///
/// # Errors
/// When one is not ready in time.
pub fn start_agents(lab: &Lab, options: &LabAgentOptions) -> Result<()> {
    agents::start(&lab.nodes()?, options)?;
    agents::prioritize(lab)?;
    wait_stable(lab)
}

/// Waits until all members of the cluster call themselves stable: before, one that started later may still
/// take its addresses from one that started earlier.
///
/// # Errors
/// When one does not in time.
pub fn wait_stable(lab: &Lab) -> Result<()> {
    let until = Instant::now() + STABLE_WITHIN;
    for node in lab.nodes()?.into_iter().filter(|node| node.spec().member) {
        loop {
            let standing = layer2_status(&node)?["standing"].clone();
            if standing == "stable" {
                break;
            }
            ensure!(Instant::now() < until, "{} is {standing} after {STABLE_WITHIN:?}", node.name());
            sleep(Duration::from_millis(20));
        }
    }
    // The other nodes learn it by the next probe.
    sleep(SETTLES_WITHIN);
    Ok(())
}

/// Returns what a node says of the addresses of the segment.
///
/// # Errors
/// When its agent does not answer.
pub fn layer2_status(node: &LabNode<'_>) -> Result<Value> {
    Ok(serde_json::from_str(&node.fairlead(&["status", "l2", "-o", "json"])?)?)
}

/// Returns the MAC address of a host.
///
/// # Errors
/// When there is no such host.
pub fn mac_of(lab: &Lab, host: &str) -> Result<HostMac> {
    lab.host(host)?.run(|| Ok(Wire::open(LINK)?.mac()))
}

/// Starts the observer, which asks for these addresses in turn.
///
/// # Errors
/// When its host cannot be entered.
pub fn observe(lab: &Lab, addresses: &[IpAddr], every: Duration) -> Result<SegmentObserver> {
    observe_from(lab, OBSERVER, addresses, every)
}

/// Starts an observer on an additional router of the lab.
///
/// # Errors
/// When its host cannot be entered.
pub fn observe_from(lab: &Lab, host: &str, addresses: &[IpAddr], every: Duration) -> Result<SegmentObserver> {
    let own = lab.topology().find_router(host)?.addresses();
    SegmentObserver::start(lab.host(host)?, LINK, own, Questions { addresses: addresses.to_vec(), every })
}

/// Returns the MAC address of an entry of a host's neighbor table.
///
/// # Errors
/// When there is none.
pub fn neighbor(host: &LabHost, address: IpAddr) -> Result<HostMac> {
    let text = host.command("ip").args(["neigh", "show", "to", &address.to_string()]).text()?;
    let mut words = text.split_whitespace().skip_while(|word| *word != "lladdr");
    HostMac::parse(words.nth(1).with_context(|| format!("{}: {address}: {text:?}", host.name()))?)
}

/// Forgets all neighbors of a host.
///
/// # Errors
/// When the kernel rejects it.
pub fn flush_neighbors(host: &LabHost) -> Result<()> {
    for family in ["-4", "-6"] {
        host.command("ip").args([family, "neigh", "flush", "all"]).text()?;
    }
    Ok(())
}
