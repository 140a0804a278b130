//! Stress on the flow table: floods of foreign packets, or a table that is filled or emptied, must break no
//! connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lb_common::flows::{FlowEntry, FlowState, WAYS};
use lb_common::map_table::name;
use lb_common::ring::NodeIndex;
use lb_dataplane::map_io::open_mapped;

use crate::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use crate::lab::{ExternalPolicy, Lab, LabAgentOptions, LabHost, LabNode, Topology, WEB_V4, agents};
use crate::traffic::{RunningLoad, TcpLoad, TcpReport, flood};

const OPEN_WITHIN: Duration = Duration::from_secs(30);
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Number of idle connections, and of active ones.
const CONNECTIONS: usize = 300;
const TALK_EVERY: Duration = Duration::from_millis(300);
/// The least number of packets that counts as a flood.
const FEWEST: u64 = 100_000;
/// How long the silent connections' last exchange may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Connections that blind SYNs are sent for while a join moves some of them.
const MOVED: usize = 400;
const CHUNK: u64 = 512;
/// Blind SYNs a second.
const SYN_RATE: u64 = 20_000;

/// The kind of stress.
#[derive(Clone, Copy, Debug)]
pub enum Stress {
    /// This many packets, each of a flow of its own.
    Flood(flood::FloodKind, u64),
    /// Every entry of every node's table is taken by a flow that is open at that node.
    FullTable,
    /// Every node's table is emptied.
    EmptiedTable,
}

/// How long the stress takes.
#[derive(Clone, Copy, Debug)]
pub struct StressDurations {
    /// How long a flood may take; the rest is not sent.
    pub flood: Duration,
    /// Packets of a flood per second. Clients, router and nodes share one machine's processors: an unlimited
    /// flood would starve the probes between nodes, and test nothing of the table.
    pub rate: u64,
    /// How long a silent connection rests; the stress must end before that.
    pub idle_time: Duration,
}

impl StressDurations {
    /// A run of a few seconds.
    pub const SHORT: Self =
        Self { flood: Duration::from_secs(8), rate: 50_000, idle_time: Duration::from_secs(20) };
    /// A run that is long enough for all packets.
    pub const WHOLE: Self =
        Self { flood: Duration::from_secs(120), rate: 25_000, idle_time: Duration::from_secs(140) };
}

/// Whether the cluster's membership changes meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does not.
    Stable,
    /// A node joins halfway.
    NodeJoins,
}

/// Returns `nodes` nodes with two pods each, and a machine that is not yet a node.
fn cluster(nodes: u8) -> Topology {
    let mut topology = Topology::empty();
    for number in 1..=nodes + 1 {
        topology = topology.node(if number % 2 == 1 { 'a' } else { 'b' }, number);
    }
    for number in 1..=nodes + 1 {
        topology = topology.pods(&format!("n{number}"), "web", 2);
    }
    set_member(&mut topology, &format!("n{}", nodes + 1), false);
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local)
}

fn set_member(cluster: &mut Topology, name: &str, member: bool) {
    cluster.nodes.iter_mut().filter(|node| node.name == name).for_each(|node| node.member = member);
    cluster.pods.iter_mut().filter(|pod| pod.node == name).for_each(|pod| pod.ready = member);
}

/// A running cluster.
struct StressCluster<'lab> {
    lab: &'lab Lab,
    initial: Vec<String>,
    joining: String,
    options: LabAgentOptions,
}

impl<'lab> StressCluster<'lab> {
    fn start(lab: &'lab Lab, nodes: u8, options: LabAgentOptions) -> Result<Self> {
        let initial: Vec<String> = (1..=nodes).map(|number| format!("n{number}")).collect();
        let cluster = Self { lab, initial, joining: format!("n{}", nodes + 1), options };
        agents::start(&cluster.initial()?, &cluster.options)?;
        cluster.route(&cluster.initial)?;
        Ok(cluster)
    }

    fn initial(&self) -> Result<Vec<LabNode<'lab>>> {
        self.initial.iter().map(|name| self.lab.node(name)).collect()
    }

    fn route(&self, names: &[String]) -> Result<()> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.lab.router()?.set_next_hops(WEB_V4, &names)
    }

    fn join(&self) -> Result<()> {
        self.lab.update(|cluster| {
            set_member(cluster, &self.joining, true);
            Ok(())
        })?;
        agents::start(&[self.lab.node(&self.joining)?], &self.options)?;
        self.route(&[&self.initial[..], std::slice::from_ref(&self.joining)].concat())
    }

    fn connections(&self, count: usize, rest: Duration) -> Result<RunningLoad<TcpReport>> {
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(count).rest(rest);
        let load = load.start(self.lab.client()?)?;
        load.wait_open(count as u64, OPEN_WITHIN)?;
        Ok(load)
    }
}

/// Enables kernel lookups only where the promise depends on them, because many nodes cannot do them: where a
/// flow has moved and its node loses its entries, too.
fn options(stress: Stress, membership: Membership) -> LabAgentOptions {
    let lost = matches!(stress, Stress::FullTable | Stress::EmptiedTable);
    let ask = if lost && membership == Membership::NodeJoins { "auto" } else { "off" };
    LabAgentOptions {
        arguments: vec!["--ask-kernel".into(), ask.into()],
        ready_within: READY_WITHIN,
        ..LabAgentOptions::default()
    }
}

/// Puts a cluster of `nodes` nodes with idle and active connections under stress.
///
/// # Errors
/// When a connection breaks, or the stress was too little.
pub fn run(nodes: u8, stress: Stress, membership: Membership, extent: StressDurations) -> Result<()> {
    cluster(nodes).run(|lab| {
        let idle_time = extent.idle_time;
        let cluster = StressCluster::start(lab, nodes, options(stress, membership))?;
        for node in lab.nodes()? {
            drop_flood(&node)?;
        }
        let began = Instant::now();
        let idle = cluster.connections(CONNECTIONS, idle_time)?;
        let active = cluster.connections(CONNECTIONS, TALK_EVERY)?;
        apply(&cluster, stress, membership, extent)?;
        ensure!(
            began.elapsed() < idle_time,
            "the stress took longer than the silence: {:?}",
            began.elapsed()
        );
        let words = 2 * CONNECTIONS as u64 * CHUNK;
        let last = began + idle_time + ANSWER_WITHIN;
        while idle.bytes() + idle.failed() * CHUNK < words && Instant::now() < last {
            sleep(Duration::from_millis(100));
        }
        println!("{nodes} nodes, {stress:?}, {membership:?}:");
        let reports = [("idle", idle.finish()?), ("active", active.finish()?)];
        show_outcomes(lab)?;
        reports.iter().for_each(|(name, report)| println!("  {name}: {report}"));
        for (name, report) in reports {
            ensure!(report.failed() == 0, "{nodes} nodes, {stress:?}, {membership:?}: {name}: {report}");
        }
        Ok(())
    })
}

fn apply(
    cluster: &StressCluster<'_>,
    stress: Stress,
    membership: Membership,
    extent: StressDurations,
) -> Result<()> {
    let StressDurations { flood: within, rate, .. } = extent;
    let joins = membership == Membership::NodeJoins;
    match stress {
        Stress::Flood(kind, count) => {
            let target = target(if kind == flood::FloodKind::Datagram { DATAGRAM_PORT } else { ECHO_PORT })?;
            let flood = cluster
                .lab
                .client()?
                .thread(move || flood::foreign_packets(kind, target, count, rate, within))?;
            if joins {
                sleep(within / 8);
                cluster.join()?;
            }
            let flood = flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
            println!("{} packets in {:.1?}", flood.sent, flood.took);
            ensure!(flood.sent >= count.min(FEWEST), "only {} packets", flood.sent);
        }
        Stress::FullTable | Stress::EmptiedTable => {
            rewrite_tables(cluster, stress)?;
            if joins {
                cluster.join()?;
                rewrite_tables(cluster, stress)?;
            }
        }
    }
    Ok(())
}

/// Overwrites every word of the initial nodes' tables.
fn rewrite_tables(cluster: &StressCluster<'_>, stress: Stress) -> Result<()> {
    for node in cluster.initial()? {
        let own = own_index(&node)?;
        let table = open_mapped(&node.pins(), name::FLOWS, WAYS)?;
        for at in 0..table.len() {
            let word = match stress {
                Stress::FullTable => {
                    let entry = FlowEntry { node: own, state: FlowState::Open, age: 0 };
                    // A unique tag, never zero.
                    (((at as u32).wrapping_mul(0x9e37_79b1) | 1) as u64) << 32 | u64::from(entry.to_bits())
                }
                Stress::EmptiedTable | Stress::Flood(..) => 0,
            };
            ensure!(table.write(at, word), "the table ends at {at}");
        }
    }
    Ok(())
}

/// Returns a node's own index.
fn own_index(node: &LabNode<'_>) -> Result<NodeIndex> {
    let status = node.status()?;
    let own = agents::list(&status, "nodes")?
        .iter()
        .find(|it| it["is_self"] == true)
        .context("the node does not list itself")?;
    Ok(own["index"].as_u64().context("no index")?.try_into()?)
}

/// Drops a flood's packets on a host before connection tracking, which hooks in at priority -200: its limits
/// are not what is tested.
///
/// # Errors
/// When the rules are rejected.
pub fn drop_flood(host: &LabHost) -> Result<()> {
    let rules = format!(
        "table ip flood {{ chain before-conntrack {{ \
         type filter hook prerouting priority raw; ip saddr {} drop; }}; }}",
        flood::SOURCES
    );
    host.command("nft").args(["-f", "-"]).feed(rules).text().map(drop)
}

fn target(port: u16) -> Result<SocketAddrV4> {
    match WEB_V4 {
        IpAddr::V4(vip) => Ok(SocketAddrV4::new(vip, port)),
        IpAddr::V6(_) => bail!("the VIP is not IPv4"),
    }
}

/// Lets a node join two, then sends a SYN from every port of the client: also for connections that have not
/// moved with their slots.
///
/// # Errors
/// When a connection breaks.
pub fn run_blind_syns() -> Result<()> {
    cluster(2).run(|lab| {
        let cluster = StressCluster::start(
            lab,
            2,
            options(Stress::Flood(flood::FloodKind::Syn, 0), Membership::NodeJoins),
        )?;
        let connections = cluster.connections(MOVED, TALK_EVERY)?;
        cluster.join()?;
        connections.wait_bytes(MOVED as u64 * CHUNK, ANSWER_WITHIN)?;
        let target = target(ECHO_PORT)?;
        let flood = lab.client()?.run(|| flood::blind_syns(source(target)?, target, SYN_RATE))?;
        println!("{} SYNs in {:.1?}", flood.sent, flood.took);
        connections.wait_bytes(MOVED as u64 * CHUNK, ANSWER_WITHIN).context("after the SYNs")?;
        let report = connections.finish()?;
        println!("{report}");
        show_outcomes(lab)?;
        ensure!(report.failed() == 0, "{report}");
        Ok(())
    })
}

/// Prints the nodes' packet counters: if a connection breaks, they show how.
fn show_outcomes(lab: &Lab) -> Result<()> {
    for node in lab.nodes()? {
        // A machine that has not joined has no agent.
        let Ok(status) = node.status() else { continue };
        let outcomes = agents::list(&status, "outcomes")?.iter().filter(|it| it["packets"] != 0);
        let counts: Vec<String> = outcomes.map(|it| format!("{} {}", it["name"], it["packets"])).collect();
        println!("  {}: {}", node.name(), counts.join(", "));
    }
    Ok(())
}

/// Returns the source address of this host towards a target.
fn source(target: SocketAddrV4) -> Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(target)?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => bail!("the client has no IPv4 address"),
    }
}
