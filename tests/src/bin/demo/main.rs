//! The demonstration: a cluster in network namespaces and thousands of connections through Fairlead. First a
//! router that changes its mind; then a cluster that does, beside one without Fairlead. Ends with a failure
//! when any number is off.

mod changes;
mod tables;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fairlead_tests::frr_router::FrrRouter;
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use fairlead_tests::lab::{AgentOptions, FAR_V4, Lab, LabNode, Topology, WEB_V4, WEB_V6, agents};
use fairlead_tests::traffic::{RunningLoad, TcpLoad, TcpReport, UdpLoad, UdpReport};
use indicatif::{ProgressBar, ProgressStyle};

/// Which VIPs get how many connections, and which nodes serve them.
const LOADS: [(IpAddr, usize, &[&str]); 3] =
    [(WEB_V4, 800, &["n1", "n2", "n3"]), (WEB_V6, 800, &["n1", "n2", "n3"]), (FAR_V4, 400, &["n4", "n5"])];
/// The nodes that the router has sessions with; no pod of `far` is on any of them.
const NEXT_HOPS: &[&str] = &["n1", "n2", "n3"];
/// BFD between router and nodes.
const BFD_INTERVAL: Duration = Duration::from_millis(50);
const ROUTED_WITHIN: Duration = Duration::from_secs(20);
const DATAGRAM_FLOWS: usize = 30;
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// How long the traffic runs before and after the router's change.
const EACH_HALF: Duration = Duration::from_secs(5);
/// A map dump goes on for long; its beginning shows the field names.
const DUMP_LINES: usize = 40;

fn main() -> ExitCode {
    let begun = Instant::now();
    match both_acts() {
        Ok(complaints) if complaints.is_empty() => {
            println!("every number is right; {:.1} s in all", begun.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Ok(complaints) => {
            complaints.iter().for_each(|complaint| eprintln!("off: {complaint}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn both_acts() -> Result<Vec<String>> {
    let mut complaints = Topology::standard().run(demonstrate)?;
    complaints.extend(changes::play()?);
    Ok(complaints)
}

/// What runs, and what it ends up as.
struct Traffic<Tcp, Udp> {
    tcp: Vec<Tcp>,
    udp: Udp,
}

/// The first act; returns what is off.
fn demonstrate(lab: &Lab) -> Result<Vec<String>> {
    let upstream = FrrRouter::start(lab, &['a'], BFD_INTERVAL)?;
    start_agents(lab)?;
    wait_next_hops(&upstream, NEXT_HOPS)?;
    upstream.wait_watched(NEXT_HOPS, ROUTED_WITHIN)?;
    tables::print_sessions(&upstream.sessions()?);
    let traffic = start_traffic(lab)?;
    wait_open(&traffic.tcp)?;
    watch(&traffic.tcp, "router: n1 n2 n3");
    upstream.set_open("n2", false)?;
    wait_next_hops(&upstream, &["n1", "n3"])?;
    watch(&traffic.tcp, "router: n1 n3, rehashed");
    let reports = finish(traffic)?;
    tables::print(lab, &reports.tcp, &reports.udp);
    show_node(&lab.node("n1")?)?;
    Ok(complaints(lab, &reports))
}

fn start_agents(lab: &Lab) -> Result<()> {
    let spinner = ProgressBar::new_spinner().with_message("starting five agents");
    spinner.enable_steady_tick(Duration::from_millis(100));
    agents::start(&lab.nodes()?, &AgentOptions::default())?;
    spinner.finish_and_clear();
    Ok(())
}

/// Waits until the router's kernel spreads all VIPs over these nodes, as BGP has told it.
fn wait_next_hops(upstream: &FrrRouter, nodes: &[&str]) -> Result<()> {
    upstream.wait_next_hops(&LOADS.map(|(vip, ..)| vip), nodes, ROUTED_WITHIN)
}

fn start_traffic(lab: &Lab) -> Result<Traffic<RunningLoad<TcpReport>, RunningLoad<UdpReport>>> {
    let client = lab.client()?;
    let start = |(vip, connections, _): &(IpAddr, usize, _)| {
        let load = TcpLoad::to(SocketAddr::new(*vip, ECHO_PORT)).connections(*connections);
        load.rest(Duration::from_millis(500)).start(client)
    };
    let tcp = LOADS.iter().map(start).collect::<Result<Vec<_>>>()?;
    let udp = UdpLoad::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT)).flows(DATAGRAM_FLOWS).start(client)?;
    Ok(Traffic { tcp, udp })
}

fn wait_open(loads: &[RunningLoad<TcpReport>]) -> Result<()> {
    let all: usize = LOADS.iter().map(|(_, connections, _)| connections).sum();
    let bar = ProgressBar::new(all as u64).with_message("connections open");
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    let until = Instant::now() + OPEN_WITHIN;
    loop {
        let open: u64 = loads.iter().map(RunningLoad::open).sum();
        let failed: u64 = loads.iter().map(RunningLoad::failed).sum();
        bar.set_position(open);
        // Those that failed are judged at the end, with all others.
        if open + failed >= all as u64 || Instant::now() > until {
            bar.finish();
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Lets the traffic run for a while, and shows that it does.
fn watch(loads: &[RunningLoad<TcpReport>], stage: &str) {
    let bar = ProgressBar::new_spinner();
    let until = Instant::now() + EACH_HALF;
    while Instant::now() < until {
        let bytes: u64 = loads.iter().map(RunningLoad::bytes).sum();
        let failed: u64 = loads.iter().map(RunningLoad::failed).sum();
        bar.set_message(format!("{stage}: {} KiB checked, {failed} connections broken", bytes / 1024));
        bar.tick();
        thread::sleep(Duration::from_millis(100));
    }
    bar.finish();
}

fn finish(
    traffic: Traffic<RunningLoad<TcpReport>, RunningLoad<UdpReport>>,
) -> Result<Traffic<(IpAddr, TcpReport), UdpReport>> {
    let finish = |(load, running): (&(IpAddr, usize, _), RunningLoad<_>)| Ok((load.0, running.finish()?));
    let tcp = LOADS.iter().zip(traffic.tcp).map(finish).collect::<Result<Vec<_>>>()?;
    Ok(Traffic { tcp, udp: traffic.udp.finish()? })
}

/// What the node says of itself, and what its kernel holds.
fn show_node(node: &LabNode<'_>) -> Result<()> {
    println!("\n$ fairlead status    # on {}\n{}", node.name(), node.fairlead(&["status"])?);
    let directory = node.directory_outside().join("bpf/fairlead");
    let layout = fs::read_dir(&directory)?.next().context("no layout is pinned")??.file_name();
    let map = node.bpffs().join("fairlead").join(layout).join("lb_nodes");
    let dump = node.command("bpftool").args(["map", "dump", "pinned"]).arg(&map).text()?;
    println!("$ bpftool map dump pinned {}", map.display());
    dump.lines().take(DUMP_LINES).for_each(|line| println!("{line}"));
    println!("…");
    Ok(())
}

fn complaints(lab: &Lab, reports: &Traffic<(IpAddr, TcpReport), UdpReport>) -> Vec<String> {
    let mut complaints = Vec::new();
    for ((vip, connections, nodes), (_, report)) in LOADS.iter().zip(&reports.tcp) {
        let mut check = |right: bool, what: &str| {
            if !right {
                complaints.push(format!("{vip}: {what}: {report}"));
            }
        };
        check(report.connections.len() == *connections, "connections are missing");
        check(report.failed() == 0, "connections failed");
        check(report.sources().len() == 1, "the client's address was not kept");
        let by_node = report.by_node(lab);
        check(by_node.keys().eq(*nodes), "other nodes than those with pods serve");
        let ideal = connections / nodes.len();
        let near = |flows: u64| flows.abs_diff(ideal as u64) * 4 < ideal as u64;
        check(by_node.values().all(|share| near(share.flows)), "a node is more than a quarter off its share");
    }
    let udp = &reports.udp;
    if udp.lost() + udp.wrong() > 0 || udp.moved() > 0 {
        complaints.push(format!("{WEB_V4}: datagrams: {udp}"));
    }
    complaints
}
