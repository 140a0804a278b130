//! The demo: a cluster in network namespaces with thousands of connections through Fairlead. First a router
//! changes its next hops; then the cluster changes, beside one without Fairlead. The demo fails if any number
//! is wrong.

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
use fairlead_tests::lab::{FAR_V4, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, WEB_V6, agents};
use fairlead_tests::traffic::{RunningLoad, TcpLoad, TcpReport, UdpLoad, UdpReport};
use indicatif::{ProgressBar, ProgressStyle};

/// The VIPs, with their numbers of connections and the nodes that serve them.
const LOADS: [(IpAddr, usize, &[&str]); 3] =
    [(WEB_V4, 800, &["n1", "n2", "n3"]), (WEB_V6, 800, &["n1", "n2", "n3"]), (FAR_V4, 400, &["n4", "n5"])];
/// The nodes that the router has sessions with; no pod of `far` is on any of them.
const NEXT_HOPS: &[&str] = &["n1", "n2", "n3"];
/// BFD interval between router and nodes.
const BFD_INTERVAL: Duration = Duration::from_millis(50);
const ROUTED_WITHIN: Duration = Duration::from_secs(20);
const DATAGRAM_FLOWS: usize = 30;
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// How long the traffic runs before and after the router's change.
const EACH_HALF: Duration = Duration::from_secs(5);
/// A map dump is long; its beginning shows the field names.
const DUMP_LINES: usize = 40;

fn main() -> ExitCode {
    let begun = Instant::now();
    match run_both() {
        Ok(failures) if failures.is_empty() => {
            println!("all checks passed in {:.1} s", begun.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Ok(failures) => {
            failures.iter().for_each(|failure| eprintln!("failed: {failure}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_both() -> Result<Vec<String>> {
    let mut failures = Topology::standard().run(run_first_part)?;
    failures.extend(changes::run()?);
    Ok(failures)
}

/// Running loads, or their reports.
struct Traffic<Tcp, Udp> {
    tcp: Vec<Tcp>,
    udp: Udp,
}

/// Runs the first part; returns failed checks.
fn run_first_part(lab: &Lab) -> Result<Vec<String>> {
    let frr_router = FrrRouter::start(lab, &['a'], BFD_INTERVAL)?;
    start_agents(lab)?;
    wait_next_hops(&frr_router, NEXT_HOPS)?;
    frr_router.wait_bfd_up(NEXT_HOPS, ROUTED_WITHIN)?;
    tables::print_sessions(&frr_router.sessions()?);
    let traffic = start_traffic(lab)?;
    wait_open(&traffic.tcp)?;
    watch(&traffic.tcp, "router: n1 n2 n3");
    frr_router.set_enabled("n2", false)?;
    wait_next_hops(&frr_router, &["n1", "n3"])?;
    watch(&traffic.tcp, "router: n1 n3, rehashed");
    let reports = finish(traffic)?;
    tables::print(lab, &reports.tcp, &reports.udp);
    show_node(&lab.node("n1")?)?;
    Ok(failures(lab, &reports))
}

fn start_agents(lab: &Lab) -> Result<()> {
    let spinner = ProgressBar::new_spinner().with_message("starting five agents");
    spinner.enable_steady_tick(Duration::from_millis(100));
    agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
    spinner.finish_and_clear();
    Ok(())
}

/// Waits until the router's kernel has these nodes as next hops of all VIPs, learnt by BGP.
fn wait_next_hops(frr_router: &FrrRouter, nodes: &[&str]) -> Result<()> {
    frr_router.wait_next_hops(&LOADS.map(|(vip, ..)| vip), nodes, ROUTED_WITHIN)
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
        // Failed connections are checked at the end, with all others.
        if open + failed >= all as u64 || Instant::now() > until {
            bar.finish();
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Lets the traffic run for a while, and shows its progress.
fn watch(loads: &[RunningLoad<TcpReport>], phase: &str) {
    let bar = ProgressBar::new_spinner();
    let until = Instant::now() + EACH_HALF;
    while Instant::now() < until {
        let bytes: u64 = loads.iter().map(RunningLoad::bytes).sum();
        let failed: u64 = loads.iter().map(RunningLoad::failed).sum();
        bar.set_message(format!("{phase}: {} KiB checked, {failed} connections broken", bytes / 1024));
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

/// Shows the node's status, and a map in its kernel.
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

fn failures(lab: &Lab, reports: &Traffic<(IpAddr, TcpReport), UdpReport>) -> Vec<String> {
    let mut failures = Vec::new();
    for ((vip, connections, nodes), (_, report)) in LOADS.iter().zip(&reports.tcp) {
        let mut check = |right: bool, what: &str| {
            if !right {
                failures.push(format!("{vip}: {what}: {report}"));
            }
        };
        check(report.connections.len() == *connections, "connections are missing");
        check(report.failed() == 0, "connections failed");
        check(report.sources().len() == 1, "the client's address was not preserved");
        let by_node = report.by_node(lab);
        check(by_node.keys().eq(*nodes), "nodes without pods serve");
        let ideal = connections / nodes.len();
        let near = |flows: u64| flows.abs_diff(ideal as u64) * 4 < ideal as u64;
        check(
            by_node.values().all(|share| near(share.flows)),
            "a node's share deviates by more than a quarter",
        );
    }
    let udp = &reports.udp;
    if udp.lost() + udp.wrong() > 0 || udp.moved() > 0 {
        failures.push(format!("{WEB_V4}: datagrams: {udp}"));
    }
    failures
}
