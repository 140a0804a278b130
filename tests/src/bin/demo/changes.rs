//! The second act: the cluster changes under the connections, once with Fairlead and once without.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use fairlead_tests::events::{
    ALL_NODES, Carrier, EventLoad, EventLoadReport, JOINING_NODE, RoutedScenario, cluster,
};
use fairlead_tests::lab::Lab;
use indicatif::ProgressBar;

use crate::{BFD_INTERVAL, tables};

/// A change, and what is told of it.
struct Step {
    what: &'static str,
    make: fn(&RoutedScenario<'_>) -> Result<()>,
    /// Over whom the router spreads then: told by BGP, or set by hand where nobody announces.
    hops: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step {
        what: "router shuts its session with n2",
        make: |scene| scene.set_open("n2", false),
        hops: &["n1", "n3", "n4"],
    },
    Step {
        what: "node n5 joins, and n2 is back",
        make: |scene| {
            scene.stage.join(JOINING_NODE)?;
            scene.set_open("n2", true)
        },
        hops: &ALL_NODES,
    },
    Step {
        what: "node n1 is drained",
        make: |scene| scene.stage.drain("n1", false),
        hops: &["n2", "n3", "n4", "n5"],
    },
    Step { what: "the cable of n3 is pulled", make: |scene| scene.cut(DEAD), hops: &["n2", "n4", "n5"] },
];
/// The node that dies at the end.
const DEAD: &str = "n3";
/// Some exchanges of every connection, and the time in which a dead node's clients are told.
const EACH: Duration = Duration::from_secs(3);

/// What the steps came to.
pub(crate) struct Act {
    /// When each step was made, and how many connections broke from then to the next one.
    pub(crate) timeline: Vec<(Duration, u64)>,
    /// How many connections there were.
    pub(crate) flows: usize,
    /// Those of the node that died, and how many of them broke.
    pub(crate) of_dead: (usize, usize),
    toll: EventLoadReport,
}

/// Plays both and returns what is off.
pub(crate) fn play() -> Result<Vec<String>> {
    let with = cluster().run(|lab| act(lab, Carrier::Fairlead))?;
    let without = cluster().run(|lab| act(lab, Carrier::Nothing))?;
    let steps: Vec<&str> = STEPS.iter().map(|step| step.what).collect();
    tables::print_timeline(&steps, &with, &without);
    println!("Fairlead's UDP flows: {}\n", with.toll.udp);
    Ok(complaints(&with, &without))
}

fn act(lab: &Lab, carrier: Carrier) -> Result<Act> {
    let scene = RoutedScenario::set(lab, carrier, BFD_INTERVAL)?;
    let crowd = EventLoad::gather(lab)?;
    let who = if scene.stage.has_agents() { "with Fairlead" } else { "ECMP + kube-proxy" };
    let begun = Instant::now();
    let mut timeline = Vec::new();
    watch(&crowd, &format!("{who}: nothing happens"));
    for step in STEPS {
        let (at, broken) = (begun.elapsed(), crowd.broken());
        (step.make)(&scene)?;
        scene.settle(step.hops)?;
        watch(&crowd, &format!("{who}: {}", step.what));
        timeline.push((at, crowd.broken() - broken));
    }
    let toll = crowd.disperse()?;
    Ok(Act { timeline, flows: toll.flows(), of_dead: toll.of_node(lab, DEAD), toll })
}

fn watch(crowd: &EventLoad, stage: &str) {
    let bar = ProgressBar::new_spinner();
    let until = Instant::now() + EACH;
    while Instant::now() < until {
        let (kib, broken) = (crowd.bytes() / 1024, crowd.broken());
        bar.set_message(format!("{stage}: {kib} KiB checked, {broken} connections broken"));
        bar.tick();
        thread::sleep(Duration::from_millis(100));
    }
    bar.finish();
}

fn complaints(with: &Act, without: &Act) -> Vec<String> {
    let mut complaints = Vec::new();
    let broken = with.toll.broken();
    if with.of_dead != (broken, broken) {
        let (all, of_dead) = with.of_dead;
        complaints.push(format!("{broken} connections broke, {of_dead} of the {all} of the dead {DEAD}"));
    }
    if without.toll.broken() == 0 {
        complaints.push("nothing broke without Fairlead: then this shows nothing".into());
    }
    complaints
}
