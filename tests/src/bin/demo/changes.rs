//! The second part of the demo: the cluster changes under live connections, with Fairlead and without.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use fairlead_tests::events::{
    ALL_NODES, Carrier, EventLoad, EventLoadReport, JOINING_NODE, RoutedScenario, cluster,
};
use fairlead_tests::lab::Lab;
use indicatif::ProgressBar;

use crate::{BFD_INTERVAL, tables};

/// A change, with its description.
struct Step {
    what: &'static str,
    make: fn(&RoutedScenario<'_>) -> Result<()>,
    /// The router's next hops afterwards: learnt by BGP, or set by hand without agents.
    hops: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step {
        what: "router shuts its sessions with n2",
        make: |routed| routed.set_enabled("n2", false),
        hops: &["n1", "n3", "n4"],
    },
    Step {
        what: "node n5 joins, and n2's sessions are back",
        make: |routed| {
            routed.scenario.join(JOINING_NODE)?;
            routed.set_enabled("n2", true)
        },
        hops: &ALL_NODES,
    },
    Step {
        what: "node n1 is drained",
        make: |routed| routed.scenario.drain("n1", false),
        hops: &["n2", "n3", "n4", "n5"],
    },
    Step { what: "the link of n3 is cut", make: |routed| routed.cut(DEAD), hops: &["n2", "n4", "n5"] },
];
/// The node that dies at the end.
const DEAD: &str = "n3";
/// Some exchanges of every connection, and the time until clients of a dead node get resets.
const EACH: Duration = Duration::from_secs(3);

/// The results of the steps.
pub(crate) struct RunResult {
    /// The time of each step, and how many connections broke from then to the next one.
    pub(crate) timeline: Vec<(Duration, u64)>,
    /// How many connections there were.
    pub(crate) flows: usize,
    /// Connections of the dead node, and how many of them broke.
    pub(crate) of_dead: (usize, usize),
    report: EventLoadReport,
}

/// Runs both and returns failed checks.
pub(crate) fn run() -> Result<Vec<String>> {
    let with = cluster().run(|lab| run_steps(lab, Carrier::Fairlead))?;
    let without = cluster().run(|lab| run_steps(lab, Carrier::Ecmp))?;
    let steps: Vec<&str> = STEPS.iter().map(|step| step.what).collect();
    tables::print_timeline(&steps, &with, &without);
    println!("Fairlead's UDP flows: {}\n", with.report.udp);
    Ok(failures(&with, &without))
}

fn run_steps(lab: &Lab, carrier: Carrier) -> Result<RunResult> {
    let routed = RoutedScenario::start(lab, carrier, BFD_INTERVAL)?;
    let load = EventLoad::start(lab)?;
    let who = if routed.scenario.has_agents() { "with Fairlead" } else { "ECMP + kube-proxy" };
    let begun = Instant::now();
    let mut timeline = Vec::new();
    watch(&load, &format!("{who}: no change yet"));
    for step in STEPS {
        let (at, broken) = (begun.elapsed(), load.broken());
        (step.make)(&routed)?;
        routed.wait_routed(step.hops)?;
        watch(&load, &format!("{who}: {}", step.what));
        timeline.push((at, load.broken() - broken));
    }
    let report = load.finish()?;
    Ok(RunResult { timeline, flows: report.flows(), of_dead: report.of_node(lab, DEAD), report })
}

fn watch(load: &EventLoad, phase: &str) {
    let bar = ProgressBar::new_spinner();
    let until = Instant::now() + EACH;
    while Instant::now() < until {
        let (kib, broken) = (load.bytes() / 1024, load.broken());
        bar.set_message(format!("{phase}: {kib} KiB checked, {broken} connections broken"));
        bar.tick();
        thread::sleep(Duration::from_millis(100));
    }
    bar.finish();
}

fn failures(with: &RunResult, without: &RunResult) -> Vec<String> {
    let mut failures = Vec::new();
    let broken = with.report.broken();
    if with.of_dead != (broken, broken) {
        let (all, of_dead) = with.of_dead;
        failures
            .push(format!("{broken} connections broke, {of_dead} of them of the {all} of the dead {DEAD}"));
    }
    if without.report.broken() == 0 {
        failures.push("nothing broke without Fairlead: the demo proves nothing".into());
    }
    failures
}
