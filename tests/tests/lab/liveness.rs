//! Tests of liveness detection: how soon a node is detected dead, and that suspended agents cause no dead
//! nodes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, iter};

use anyhow::{Context, Result, anyhow, ensure};
use comfy_table::{CellAlignment, Table, presets};
use fairlead_tests::events::{Carrier, EventLoad, EventScenario, INITIAL_NODES, cluster};
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT, LabServiceSpec};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use fairlead_tests::traffic::probes::Outage;
use fairlead_tests::traffic::{Probes, TcpLoad};
use lb_dataplane::mapped_tables::LivenessCells;
use nix::sys::signal::Signal;

/// Serializes the tests of this file, which measure times.
static ALONE: Mutex<()> = Mutex::new(());

const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// Suspended agents stop the liveness clock, and affect nothing else.
#[test]
fn suspended_agents_cause_no_dead_nodes() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = if env::var_os("FAIRLEAD_SOAK").is_some() { 60 } else { 10 };
    cluster().run(|lab| {
        let scenario = EventScenario::start(lab, Carrier::Fairlead)?;
        let load = EventLoad::start(lab)?;
        scenario.drain("n2", false)?;
        sleep(Duration::from_millis(500));
        // A draining next hop gets no new flows either.
        new_flows_avoid(lab, "n2")?;
        signal_all(lab, Signal::SIGSTOP)?;
        sleep(Duration::from_millis(100));
        let before = views(lab)?;
        ensure!(before.iter().all(View::is_expected), "{before:?}");
        sleep(Duration::from_secs(seconds) / 2);
        scenario.route(&["n3", "n1"])?;
        new_flows_avoid(lab, "n2")?;
        sleep(Duration::from_secs(seconds) / 2);
        ensure!(views(lab)? == before, "while agents were suspended: {before:?} became {:?}", views(lab)?);
        signal_all(lab, Signal::SIGCONT)?;
        sleep(Duration::from_secs(1));
        let after = views(lab)?;
        for (before, after) in iter::zip(&before, &after) {
            let ticks = after.clock.wrapping_sub(before.clock);
            ensure!((10..=110).contains(&ticks), "{}: a second was {ticks} ticks", after.node);
            ensure!(after.is_expected(), "{after:?}");
        }
        ensure!(lab.node("n2")?.status()?["draining"] == true, "n2 is no longer draining");
        new_flows_avoid(lab, "n2")?;
        let report = load.finish()?;
        println!("all agents were suspended for {seconds} s: {report}");
        ensure!(report.broken() == 0, "{report}");
        Ok(())
    })
}

/// A drain does not end with its agent: it is part of the program's answers to probes.
#[test]
fn a_drain_survives_the_agents_end() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    cluster().run(|lab| {
        let scenario = EventScenario::start(lab, Carrier::Fairlead)?;
        let node = lab.node("n2")?;
        scenario.drain("n2", false)?;
        sleep(Duration::from_millis(300));
        node.kill_agent()?;
        new_flows_avoid(lab, "n2")?;
        node.start_agent(&LabAgentOptions::default())?;
        sleep(Duration::from_millis(300));
        ensure!(node.status()?["draining"] == true, "the next agent does not continue the drain");
        new_flows_avoid(lab, "n2")
    })
}

/// A node's liveness cells: the clock, and for every other node whether it is alive and whether it drains.
#[derive(Debug, PartialEq, Eq)]
struct View {
    node: &'static str,
    clock: u32,
    others: BTreeMap<String, (bool, bool)>,
}

impl View {
    fn is_expected(&self) -> bool {
        self.others.iter().all(|(name, state)| *state == (true, name == "n2"))
    }
}

/// Reads the cells without the agents.
fn views(lab: &Lab) -> Result<Vec<View>> {
    INITIAL_NODES
        .into_iter()
        .map(|node| {
            let cells = LivenessCells::open(&lab.node(node)?.pins())?;
            let clock = cells.clock();
            // Node indices are in the order of the names, the own one first.
            let others = INITIAL_NODES.into_iter().filter(|other| *other != node);
            let of = |(index, name): (u16, &str)| {
                let cell = cells.of(index);
                (name.to_owned(), (cell.silence(clock) < 15, cell.is_draining()))
            };
            Ok(View { node, clock, others: (1..).zip(others).map(of).collect() })
        })
        .collect()
}

fn signal_all(lab: &Lab, signal: Signal) -> Result<()> {
    INITIAL_NODES.into_iter().try_for_each(|node| lab.node(node)?.signal_agent(signal))
}

fn new_flows_avoid(lab: &Lab, node: &str) -> Result<()> {
    let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(200).start(lab.client()?)?;
    let opened = load.wait_open(200, OPEN_WITHIN);
    let report = load.finish()?;
    let outcome = if report.failed() == 0 { opened } else { Err(anyhow!("flows failed")) };
    outcome.with_context(|| format!("{report}; packets by verdict: {:?}", outcomes(lab)))?;
    ensure!(!report.by_node(lab).contains_key(node), "{node} drains: {:?}", report.by_node(lab));
    Ok(())
}

/// Returns the packets of each node by verdict, where its agent answers.
fn outcomes(lab: &Lab) -> BTreeMap<String, String> {
    let nodes = lab.nodes().into_iter().flatten();
    let of = |node: LabNode<'_>| Some((node.name().to_owned(), node.status().ok()?["outcomes"].to_string()));
    nodes.filter_map(of).collect()
}

/// A setting of liveness detection: probe interval and multiplier, and the number of Services.
#[derive(Clone, Copy, Debug)]
struct Setting {
    interval: u32,
    multiplier: u32,
    services: usize,
}

const SETTINGS: [Setting; 4] = [
    Setting { interval: 50, multiplier: 3, services: 1 },
    Setting { interval: 50, multiplier: 3, services: 2001 },
    Setting { interval: 10, multiplier: 3, services: 1 },
    Setting { interval: 10, multiplier: 3, services: 2001 },
];
const TRIES: usize = 7;
/// The clock ticks in fifths of an interval, so a death is detected up to one tick late.
const TICK: Duration = Duration::from_millis(10);
/// The scheduling delay of threads of three agents, a client and three servers on two cores.
const CORES: Duration = Duration::from_millis(30);

/// A node's death needs no map writes, so detection does not depend on the number of Services.
#[test]
fn a_dead_node_is_detected_within_the_probe_timeout() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["probes", "Services", "min ms", "median ms", "max ms", "error ms", "probes lost"]);
    for setting in SETTINGS {
        let outages = measure(setting)?;
        let (least, half, most) = (outages[0], outages[TRIES / 2], outages[TRIES - 1]);
        let blur = outages.iter().map(|it| it.blur).max().unwrap_or_default();
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        table.add_row([
            format!("{} ms × {}", setting.interval, setting.multiplier),
            setting.services.to_string(),
            ms(least.at_most),
            ms(half.at_most),
            ms(most.at_most),
            ms(blur),
            half.lost.to_string(),
        ]);
        if setting.interval == 50 {
            let bound = Duration::from_millis((setting.interval * setting.multiplier).into()) + TICK + CORES;
            ensure!(half.at_most < bound + half.blur, "{setting:?}: {outages:?}");
        }
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("time from the cut to the last packet sent to the dead node, {TRIES} tries each:\n{table}");
    Ok(())
}

/// Returns the outages of all tries, shortest first.
fn measure(setting: Setting) -> Result<Vec<Outage>> {
    let mut topology = Topology::empty();
    for number in 1..=3 {
        topology = topology.node('a', number).pods(&format!("n{number}"), "web", 1);
    }
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local).run(|lab| {
        add_services(lab, setting.services - 1)?;
        // The node that dies is not a next hop: the router is not measured.
        lab.router()?.set_next_hops(WEB_V4, &["n1", "n3"])?;
        let pace = [setting.interval, setting.multiplier].map(|number| number.to_string());
        let [interval, multiplier] = pace;
        let arguments =
            vec!["--liveness-interval".into(), interval, "--liveness-multiplier".into(), multiplier];
        let options = LabAgentOptions {
            arguments,
            ready_within: Duration::from_secs(60),
            ..LabAgentOptions::default()
        };
        agents::start(&lab.nodes()?, &options)?;
        wait_served(lab, setting.services)?;
        let mut outages = (0..TRIES).map(|_| measure_once(lab)).collect::<Result<Vec<_>>>()?;
        outages.sort_unstable_by_key(|outage| outage.at_most);
        Ok(outages)
    })
}

fn measure_once(lab: &Lab) -> Result<Outage> {
    let node = lab.node("n2")?;
    let probes = Probes::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT)).start(lab.client()?)?;
    sleep(Duration::from_millis(250));
    let cut = Instant::now();
    node.cut_link()?;
    sleep(Duration::from_millis(500));
    let report = probes.finish()?;
    node.restore_link()?;
    sleep(Duration::from_millis(700));
    let pods = report.pods_between(report.started, cut);
    ensure!(pods.len() == 3, "all three must serve before the cut: {pods:?}");
    report.outage(cut).context("nothing was lost after the cut")
}

/// Adds Services without clients, on the same pods, which fill the nodes' maps.
fn add_services(lab: &Lab, count: usize) -> Result<()> {
    let mut topology = lab.topology().clone();
    let model = topology.services.first().context("no Service")?.clone();
    topology.services.extend((0..count).map(|number| {
        let [.., a, b] = (number as u32).to_be_bytes();
        let vip = IpAddr::from(Ipv4Addr::new(10, 99, a, b));
        LabServiceSpec { name: format!("s{number}"), vips: vec![vip], ..model.clone() }
    }));
    topology.write_manifests(&lab.outside(&lab.manifests_directory()))
}

fn wait_served(lab: &Lab, services: usize) -> Result<()> {
    for node in lab.nodes()? {
        let status = node.status()?;
        let served = status["services"].as_array().map_or(0, Vec::len);
        ensure!(served == services, "{}: {served} Services, problems {}", node.name(), status["problems"]);
    }
    Ok(())
}
