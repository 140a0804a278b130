//! What strangers and their floods, or a table that forgets, cost connections that live: nothing is promised to be lost.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lb_common::flows::{FlowEntry, FlowState, WAYS};
use lb_common::map_table::name;
use lb_common::ring::NodeIndex;
use lb_dataplane::map_io::open_mapped;

use crate::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use crate::lab::{AgentOptions, Lab, LabHost, LabNode, Topology, TrafficPolicy, WEB_V4, agents};
use crate::traffic::{RunningLoad, TcpLoad, TcpReport, flood};

const OPEN_WITHIN: Duration = Duration::from_secs(30);
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Silent connections, and as many that talk all the time.
const CONNECTIONS: usize = 300;
const TALK_EVERY: Duration = Duration::from_millis(300);
/// Fewer packets are no flood.
const FEWEST: u64 = 100_000;
/// How long the last word of the silent ones may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Connections that a join moves, and that blind SYNs are sent for.
const MOVED: usize = 400;
const CHUNK: u64 = 512;
/// Blind SYNs a second.
const SYN_RATE: u64 = 20_000;

/// What comes over the nodes.
#[derive(Clone, Copy, Debug)]
pub enum Stress {
    /// So many packets of as many flows.
    Flood(flood::FloodKind, u64),
    /// Every place in every node's table is taken by a flow that is open at that node.
    FullTable,
    /// Every node's table is emptied.
    EmptiedTable,
}

/// How long a storm takes.
#[derive(Clone, Copy, Debug)]
pub struct StressDurations {
    /// How long a flood may take; what has not been sent by then is not sent.
    pub flood: Duration,
    /// Packets of a flood a second. Clients, router and nodes share the processors of one machine: as fast as it goes would
    /// starve the probes between nodes, and tell nothing of the table.
    pub rate: u64,
    /// For so long a silent connection says nothing, and a storm must be over.
    pub silence: Duration,
}

impl StressDurations {
    /// As much as a few seconds hold.
    pub const SHORT: Self =
        Self { flood: Duration::from_secs(8), rate: 50_000, silence: Duration::from_secs(20) };
    /// As long as all of it takes.
    pub const WHOLE: Self =
        Self { flood: Duration::from_secs(120), rate: 25_000, silence: Duration::from_secs(140) };
}

/// Whether the cluster stays as it is meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does.
    Stable,
    /// A node joins in the middle.
    NodeJoins,
}

/// `nodes` nodes with two pods each, and a machine that is not yet a node.
fn cluster(nodes: u8) -> Topology {
    let mut topology = Topology::empty();
    for number in 1..=nodes + 1 {
        topology = topology.node(if number % 2 == 1 { 'a' } else { 'b' }, number);
    }
    for number in 1..=nodes + 1 {
        topology = topology.pods(&format!("n{number}"), "web", 2);
    }
    set_member(&mut topology, &format!("n{}", nodes + 1), false);
    topology.service("web", "web", &[WEB_V4], TrafficPolicy::Local)
}

fn set_member(cluster: &mut Topology, name: &str, member: bool) {
    cluster.nodes.iter_mut().filter(|node| node.name == name).for_each(|node| node.member = member);
    cluster.pods.iter_mut().filter(|pod| pod.node == name).for_each(|pod| pod.ready = member);
}

/// A running cluster.
struct StressCluster<'lab> {
    lab: &'lab Lab,
    residents: Vec<String>,
    newcomer: String,
    options: AgentOptions,
}

impl<'lab> StressCluster<'lab> {
    fn set(lab: &'lab Lab, nodes: u8, options: AgentOptions) -> Result<Self> {
        let residents: Vec<String> = (1..=nodes).map(|number| format!("n{number}")).collect();
        let field = Self { lab, residents, newcomer: format!("n{}", nodes + 1), options };
        agents::start(&field.residents()?, &field.options)?;
        field.route(&field.residents)?;
        Ok(field)
    }

    fn residents(&self) -> Result<Vec<LabNode<'lab>>> {
        self.residents.iter().map(|name| self.lab.node(name)).collect()
    }

    fn route(&self, names: &[String]) -> Result<()> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.lab.router()?.set_next_hops(WEB_V4, &names)
    }

    fn join(&self) -> Result<()> {
        self.lab.update(|cluster| {
            set_member(cluster, &self.newcomer, true);
            Ok(())
        })?;
        agents::start(&[self.lab.node(&self.newcomer)?], &self.options)?;
        self.route(&[&self.residents[..], std::slice::from_ref(&self.newcomer)].concat())
    }

    fn connections(&self, count: usize, rest: Duration) -> Result<RunningLoad<TcpReport>> {
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(count).rest(rest);
        let load = load.start(self.lab.client()?)?;
        load.wait_open(count as u64, OPEN_WITHIN)?;
        Ok(load)
    }
}

/// Nodes ask their kernels only where what is promised depends on it: many cannot. That is where a flow has moved and
/// its entries are lost at its node, too.
fn options(storm: Stress, membership: Membership) -> AgentOptions {
    let lost = matches!(storm, Stress::FullTable | Stress::EmptiedTable);
    let ask = if lost && membership == Membership::NodeJoins { "auto" } else { "off" };
    AgentOptions {
        arguments: vec!["--ask-kernel".into(), ask.into()],
        ready_within: READY_WITHIN,
        ..AgentOptions::default()
    }
}

/// Lets a storm come over a cluster of `nodes` nodes with silent and talking connections.
///
/// # Errors
/// When a connection breaks, or the storm was none.
pub fn endure(nodes: u8, storm: Stress, membership: Membership, extent: StressDurations) -> Result<()> {
    cluster(nodes).run(|lab| {
        let silence = extent.silence;
        let field = StressCluster::set(lab, nodes, options(storm, membership))?;
        for node in lab.nodes()? {
            drop_strangers(&node)?;
        }
        let began = Instant::now();
        let silent = field.connections(CONNECTIONS, silence)?;
        let talking = field.connections(CONNECTIONS, TALK_EVERY)?;
        rage(&field, storm, membership, extent)?;
        ensure!(began.elapsed() < silence, "the storm took longer than the silence: {:?}", began.elapsed());
        let words = 2 * CONNECTIONS as u64 * CHUNK;
        let last = began + silence + ANSWER_WITHIN;
        while silent.bytes() + silent.failed() * CHUNK < words && Instant::now() < last {
            sleep(Duration::from_millis(100));
        }
        println!("{nodes} nodes, {storm:?}, {membership:?}:");
        let reports = [("silent", silent.finish()?), ("talking", talking.finish()?)];
        show_outcomes(lab)?;
        reports.iter().for_each(|(name, report)| println!("  {name}: {report}"));
        for (name, report) in reports {
            ensure!(report.failed() == 0, "{nodes} nodes, {storm:?}, {membership:?}: {name}: {report}");
        }
        Ok(())
    })
}

fn rage(
    field: &StressCluster<'_>,
    storm: Stress,
    membership: Membership,
    extent: StressDurations,
) -> Result<()> {
    let StressDurations { flood: within, rate, .. } = extent;
    let joins = membership == Membership::NodeJoins;
    match storm {
        Stress::Flood(kind, count) => {
            let target = target(if kind == flood::FloodKind::Datagram { DATAGRAM_PORT } else { ECHO_PORT })?;
            let flood =
                field.lab.client()?.thread(move || flood::strangers(kind, target, count, rate, within))?;
            if joins {
                sleep(within / 8);
                field.join()?;
            }
            let flood = flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
            println!("{} packets in {:.1?}", flood.sent, flood.took);
            ensure!(flood.sent >= count.min(FEWEST), "only {} packets", flood.sent);
        }
        Stress::FullTable | Stress::EmptiedTable => {
            rewrite_tables(field, storm)?;
            if joins {
                field.join()?;
                rewrite_tables(field, storm)?;
            }
        }
    }
    Ok(())
}

/// Writes every word of the residents' tables anew.
fn rewrite_tables(field: &StressCluster<'_>, storm: Stress) -> Result<()> {
    for node in field.residents()? {
        let own = own_index(&node)?;
        let table = open_mapped(&node.pins(), name::FLOWS, WAYS)?;
        for at in 0..table.len() {
            let word = match storm {
                Stress::FullTable => {
                    let entry = FlowEntry { node: own, state: FlowState::Open, age: 0 };
                    // A tag of its own, never zero.
                    (((at as u32).wrapping_mul(0x9e37_79b1) | 1) as u64) << 32 | u64::from(entry.to_bits())
                }
                Stress::EmptiedTable | Stress::Flood(..) => 0,
            };
            ensure!(table.write(at, word), "the table ends at {at}");
        }
    }
    Ok(())
}

/// The number that a node has given itself.
fn own_index(node: &LabNode<'_>) -> Result<NodeIndex> {
    let status = node.status()?;
    let own =
        agents::list(&status, "nodes")?.iter().find(|it| it["is_self"] == true).context("no own node")?;
    Ok(own["index"].as_u64().context("no index")?.try_into()?)
}

/// Has a host drop what a flood sends, before connection tracking, which hooks in at priority -200: it has its own limits,
/// and they are not what is tested.
///
/// # Errors
/// When the rules are refused.
pub fn drop_strangers(host: &LabHost) -> Result<()> {
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
        IpAddr::V6(_) => bail!("an IPv4 VIP"),
    }
}

/// A node joins two, and then somebody sends a SYN for every port of the client: also for connections that have not moved
/// with their slots.
///
/// # Errors
/// When a connection breaks.
pub fn endure_blind_syns() -> Result<()> {
    cluster(2).run(|lab| {
        let field = StressCluster::set(
            lab,
            2,
            options(Stress::Flood(flood::FloodKind::Syn, 0), Membership::NodeJoins),
        )?;
        let connections = field.connections(MOVED, TALK_EVERY)?;
        field.join()?;
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

/// Prints what the nodes have made of packets: where a connection breaks, this says how.
fn show_outcomes(lab: &Lab) -> Result<()> {
    for node in lab.nodes()? {
        // One that has not joined has no agent.
        let Ok(status) = node.status() else { continue };
        let outcomes = agents::list(&status, "outcomes")?.iter().filter(|it| it["packets"] != 0);
        let counts: Vec<String> = outcomes.map(|it| format!("{} {}", it["name"], it["packets"])).collect();
        println!("  {}: {}", node.name(), counts.join(", "));
    }
    Ok(())
}

/// The address that this host speaks to a target from.
fn source(target: SocketAddrV4) -> Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(target)?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => bail!("an IPv4 client"),
    }
}
