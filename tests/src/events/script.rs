//! The list of events, each with its preparation and its undoing.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{ALL_NODES, Carrier, EventLoad, EventLoadReport, EventScenario, INITIAL_NODES, JOINING_NODE};

/// An event of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct ClusterEvent {
    /// A short description.
    pub name: &'static str,
    /// Prepares the cluster before connections are opened.
    prepare: fn(&EventScenario<'_>) -> Result<()>,
    /// Triggers the event.
    trigger: fn(&EventScenario<'_>) -> Result<()>,
    /// Restores the cluster's initial state.
    undo: fn(&EventScenario<'_>) -> Result<()>,
    /// The node whose connections cannot survive.
    pub kills: Option<&'static str>,
    /// Whether it inevitably breaks connections with ECMP alone.
    pub breaks_with_ecmp: bool,
    /// The carriers that it applies to.
    pub carriers: &'static [Carrier],
}

const BOTH: &[Carrier] = &[Carrier::Fairlead, Carrier::Ecmp];
/// How long the load goes on after an event: ten exchanges of every connection, or the time that the router's
/// BFD, the hold and a few retransmissions take.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// The time that a router with BFD at 100 ms × 3 takes to detect a dead next hop.
const ROUTER_NOTICES: Duration = Duration::from_millis(300);
/// Some exchanges of every connection.
const A_WHILE: Duration = Duration::from_millis(1500);
/// A short loss of the link.
const FLAP: Duration = Duration::from_millis(300);

const NOTHING: fn(&EventScenario<'_>) -> Result<()> = |_| Ok(());
const ALL_HOPS: fn(&EventScenario<'_>) -> Result<()> = |scenario| scenario.route(&INITIAL_NODES);

/// All events, in the order in which they are listed.
pub const EVENTS: &[ClusterEvent] = &[
    ClusterEvent {
        name: "router drops a next hop",
        prepare: NOTHING,
        trigger: |scenario| scenario.route(&["n1", "n3", "n4"]),
        undo: ALL_HOPS,
        kills: None,
        breaks_with_ecmp: true,
        carriers: BOTH,
    },
    ClusterEvent {
        name: "router gains a next hop",
        prepare: |scenario| scenario.route(&["n1", "n3", "n4"]),
        trigger: ALL_HOPS,
        undo: NOTHING,
        kills: None,
        breaks_with_ecmp: true,
        carriers: BOTH,
    },
    ClusterEvent {
        name: "node joins",
        prepare: NOTHING,
        trigger: |scenario| {
            scenario.join(JOINING_NODE)?;
            scenario.route(&ALL_NODES)
        },
        undo: without_joining_node,
        kills: None,
        breaks_with_ecmp: true,
        carriers: BOTH,
    },
    ClusterEvent {
        name: "node drained and undrained",
        prepare: NOTHING,
        trigger: |scenario| {
            scenario.drain("n2", false)?;
            sleep(ROUTER_NOTICES);
            scenario.route(&["n1", "n3", "n4"])?;
            sleep(A_WHILE);
            scenario.drain("n2", true)?;
            scenario.route(&INITIAL_NODES)
        },
        undo: |scenario| scenario.wait_alive(&INITIAL_NODES),
        kills: None,
        breaks_with_ecmp: true,
        carriers: BOTH,
    },
    ClusterEvent {
        name: "rollout changes weights",
        prepare: NOTHING,
        trigger: |scenario| {
            scenario.set_ready(&["n1-3", "n4-2"], false)?;
            sleep(A_WHILE);
            scenario.set_ready(&["n1-3", "n4-2"], true)?;
            scenario.set_ready(&["n2-2", "n3-3"], false)?;
            sleep(A_WHILE);
            scenario.set_ready(&["n2-2", "n3-3"], true)
        },
        undo: NOTHING,
        kills: None,
        breaks_with_ecmp: false,
        carriers: BOTH,
    },
    ClusterEvent {
        name: "router rehash and node join within 100 ms",
        prepare: NOTHING,
        trigger: |scenario| {
            scenario.route(&["n4", "n2", "n1"])?;
            scenario.join(JOINING_NODE)
        },
        undo: without_joining_node,
        kills: None,
        breaks_with_ecmp: true,
        carriers: BOTH,
    },
    ClusterEvent {
        name: "agent of a node killed",
        prepare: NOTHING,
        trigger: |scenario| scenario.lab.node("n2")?.kill_agent(),
        undo: |scenario| {
            scenario.start_agents(&["n2"])?;
            scenario.wait_alive(&INITIAL_NODES)
        },
        kills: None,
        breaks_with_ecmp: false,
        carriers: &[Carrier::Fairlead],
    },
    ClusterEvent {
        name: "cable out for 300 ms",
        prepare: NOTHING,
        trigger: |scenario| {
            let node = scenario.lab.node("n3")?;
            node.cut_link()?;
            sleep(FLAP);
            node.restore_link()
        },
        undo: |scenario| scenario.wait_alive(&INITIAL_NODES),
        kills: None,
        breaks_with_ecmp: false,
        carriers: BOTH,
    },
    ClusterEvent {
        name: "node dies: cable out for good",
        prepare: NOTHING,
        trigger: |scenario| {
            scenario.lab.node("n3")?.cut_link()?;
            sleep(ROUTER_NOTICES);
            scenario.route(&["n1", "n2", "n4"])
        },
        undo: |scenario| {
            scenario.lab.node("n3")?.restore_link()?;
            scenario.wait_alive(&INITIAL_NODES)?;
            scenario.route(&INITIAL_NODES)
        },
        kills: Some("n3"),
        breaks_with_ecmp: true,
        carriers: BOTH,
    },
];

impl ClusterEvent {
    /// Starts the load, triggers the event, lets the load go on, and returns the load's report and the time
    /// of the event.
    ///
    /// # Errors
    /// When a step fails; broken connections are in the report.
    pub fn run(&self, scenario: &EventScenario<'_>) -> Result<(EventLoadReport, Instant)> {
        (self.prepare)(scenario)?;
        let load = EventLoad::start(scenario.lab)?;
        let began = Instant::now();
        self.trigger(scenario)?;
        sleep(AFTERWARDS);
        let report = load.finish()?;
        (self.undo)(scenario)?;
        Ok((report, began))
    }

    /// Triggers the event without a load.
    ///
    /// # Errors
    /// When a step fails.
    pub fn trigger(&self, scenario: &EventScenario<'_>) -> Result<()> {
        (self.trigger)(scenario)
    }
}

fn without_joining_node(scenario: &EventScenario<'_>) -> Result<()> {
    scenario.route(&INITIAL_NODES)?;
    scenario.leave(JOINING_NODE)
}
