//! A soak test of agents whose directory is damaged: they must answer, and keep serving what they served.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::directory_faults::DirectoryFaults;
use crate::lab::topology::ECHO_PORT;
use crate::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use crate::routers::wait;
use crate::traffic::TcpLoad;

/// The nodes of the lab.
const NODES: [&str; 2] = ["n1", "n2"];
const CONNECTIONS: usize = 100;
const WITHIN: Duration = Duration::from_secs(30);
/// How long an agent may take to answer on a busy machine.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Memory limit of an agent, in KiB.
const MEMORY: u64 = 256 << 10;

/// The faults injected, and what was observed.
#[derive(Debug)]
pub struct DirectorySoakReport {
    faults: DirectoryFaults,
    looks: usize,
    slowest: Duration,
    broken: u64,
    memory: u64,
}

/// Damages the directory of two agents for a while, with connections through both of them; then repairs it.
///
/// # Errors
/// When an agent does not answer in time, stops serving something, breaks a connection, or does not follow
/// the directory in the end.
pub fn run(seed: u64, duration: Duration) -> Result<DirectorySoakReport> {
    let mut topology = Topology::empty().node('a', 1).node('a', 2);
    for node in NODES {
        topology = topology.pods(node, "web", 1);
    }
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local).run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &NODES)?;
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(CONNECTIONS);
        let load = load.rest(Duration::from_millis(200)).start(lab.client()?)?;
        load.wait_open(CONNECTIONS as u64, WITHIN)?;
        let faults = DirectoryFaults::of(&lab.outside(&lab.manifests_directory()), seed)?;
        let mut report =
            DirectorySoakReport { faults, looks: 0, slowest: Duration::ZERO, broken: 0, memory: 0 };
        report.damage(lab, duration)?;
        report.faults.repair()?;
        for node in lab.nodes()? {
            follows(lab, &node)?;
            report.memory = report.memory.max(memory(&node)?);
        }
        let flows = load.finish()?;
        report.broken = flows.failures().count() as u64;
        ensure!(report.broken == 0, "{report}");
        ensure!(report.memory < MEMORY, "{report}");
        Ok(report)
    })
}

impl DirectorySoakReport {
    fn damage(&mut self, lab: &Lab, duration: Duration) -> Result<()> {
        let nodes = lab.nodes()?;
        let served = served(&nodes[0].status()?)?;
        ensure!(served.len() > NODES.len(), "nothing is served: {served:?}");
        let until = Instant::now() + duration;
        let mut rest = crate::random::SeededRandom::new(self.faults.seed());
        while Instant::now() < until {
            for _ in 0..5 {
                self.faults.inject()?;
                sleep(Duration::from_millis(rest.below(60) as u64));
            }
            for node in &nodes {
                self.check_agent(node, &served)?;
            }
        }
        Ok(())
    }

    fn check_agent(&mut self, node: &LabNode<'_>, served: &BTreeSet<String>) -> Result<()> {
        let begun = Instant::now();
        let status = node.status().with_context(|| format!("{self}"))?;
        self.slowest = self.slowest.max(begun.elapsed());
        self.looks += 1;
        ensure!(begun.elapsed() < ANSWERS_WITHIN, "status took {:?}: {self}", begun.elapsed());
        let now = self::served(&status)?;
        // A file that this test removed for longer than planned may be treated as removed.
        ensure!(
            now == *served || self.faults.missing_too_long > 0,
            "{now:?} instead of {served:?}: {status:#} {self}"
        );
        Ok(())
    }
}

/// Returns what an agent serves, and the nodes it knows.
fn served(status: &Value) -> Result<BTreeSet<String>> {
    let mut served = BTreeSet::new();
    for service in status["services"].as_array().context("no services")? {
        for vip in service["vips"].as_array().context("no VIPs")? {
            served.insert(format!("VIP {}", vip["address"]));
        }
    }
    for node in status["nodes"].as_array().context("no nodes")? {
        served.insert(format!("node {}", node["name"]));
    }
    Ok(served)
}

/// Checks that an agent reads what is written now.
fn follows(lab: &Lab, node: &LabNode<'_>) -> Result<()> {
    let file = lab.outside(&lab.manifests_directory()).join("last.yaml");
    let about = |words: &'static str| {
        move || {
            let status = node.status()?;
            let problems = agents::problems(&status)?;
            let is_said = problems.iter().any(|it| it.contains(words));
            Ok::<_, anyhow::Error>((is_said, problems.len(), status))
        }
    };
    let clean = |words| {
        wait(WITHIN, || {
            let (_, problems, status) = about(words)()?;
            ensure!(problems == 0, "{status:#}");
            Ok(())
        })
    };
    clean("last.yaml")?;
    fs::write(&file, "kind: Last\n")?;
    wait(WITHIN, || {
        let (is_said, _, status) = about("last.yaml")()?;
        ensure!(is_said, "{status:#}");
        Ok(())
    })?;
    fs::remove_file(&file)?;
    clean("last.yaml")
}

/// Returns the agent's resident memory in KiB.
fn memory(node: &LabNode<'_>) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", node.agent_id()?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

impl fmt::Display for DirectorySoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, times) in &self.faults.injected {
            writeln!(f, "{times:>7} × {fault}")?;
        }
        writeln!(f, "{:>7} × status, at most {:?}", self.looks, self.slowest)?;
        writeln!(f, "{:>7} × missing for too long", self.faults.missing_too_long)?;
        write!(f, "{} of {CONNECTIONS} connections broken, {} MiB", self.broken, self.memory >> 10)
    }
}
