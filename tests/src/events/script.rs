//! The events, each with what comes before and after it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{ALL_NODES, Carrier, EventLoad, EventLoadReport, EventScenario, INITIAL_NODES, JOINING_NODE};

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub struct ClusterEvent {
    /// In a few words.
    pub name: &'static str,
    /// What has to be so before connections are opened.
    prepare: fn(&EventScenario<'_>) -> Result<()>,
    /// The event itself.
    act: fn(&EventScenario<'_>) -> Result<()>,
    /// Makes the cluster what it was at the start.
    undo: fn(&EventScenario<'_>) -> Result<()>,
    /// The node whose connections cannot live on.
    pub kills: Option<&'static str>,
    /// Whether a router on its own cannot but break connections by it.
    pub breaks_without: bool,
    /// Who can have it happen to them.
    pub happens_to: &'static [Carrier],
}

const BOTH: &[Carrier] = &[Carrier::Fairlead, Carrier::Nothing];
/// How long the crowd talks after an event: ten exchanges of every connection, or the time that the router's
/// BFD, the grace for orphans and a few retransmissions take.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// What a router with BFD at 100 ms × 3 takes to find a dead next hop.
const ROUTER_NOTICES: Duration = Duration::from_millis(300);
/// Some exchanges of every connection.
const A_WHILE: Duration = Duration::from_millis(1500);
/// A cable that is touched.
const FLAP: Duration = Duration::from_millis(300);

const NOTHING: fn(&EventScenario<'_>) -> Result<()> = |_| Ok(());
const ALL_HOPS: fn(&EventScenario<'_>) -> Result<()> = |stage| stage.route(&INITIAL_NODES);

/// All events, in the order in which they are told.
pub const EVENTS: &[ClusterEvent] = &[
    ClusterEvent {
        name: "router drops a next hop",
        prepare: NOTHING,
        act: |stage| stage.route(&["n1", "n3", "n4"]),
        undo: ALL_HOPS,
        kills: None,
        breaks_without: true,
        happens_to: BOTH,
    },
    ClusterEvent {
        name: "router gains a next hop",
        prepare: |stage| stage.route(&["n1", "n3", "n4"]),
        act: ALL_HOPS,
        undo: NOTHING,
        kills: None,
        breaks_without: true,
        happens_to: BOTH,
    },
    ClusterEvent {
        name: "node joins",
        prepare: NOTHING,
        act: |stage| {
            stage.join(JOINING_NODE)?;
            stage.route(&ALL_NODES)
        },
        undo: without_newcomer,
        kills: None,
        breaks_without: true,
        happens_to: BOTH,
    },
    ClusterEvent {
        name: "node drained and undrained",
        prepare: NOTHING,
        act: |stage| {
            stage.drain("n2", false)?;
            sleep(ROUTER_NOTICES);
            stage.route(&["n1", "n3", "n4"])?;
            sleep(A_WHILE);
            stage.drain("n2", true)?;
            stage.route(&INITIAL_NODES)
        },
        undo: |stage| stage.wait_alive(&INITIAL_NODES),
        kills: None,
        breaks_without: true,
        happens_to: BOTH,
    },
    ClusterEvent {
        name: "rollout changes weights",
        prepare: NOTHING,
        act: |stage| {
            stage.set_ready(&["n1-3", "n4-2"], false)?;
            sleep(A_WHILE);
            stage.set_ready(&["n1-3", "n4-2"], true)?;
            stage.set_ready(&["n2-2", "n3-3"], false)?;
            sleep(A_WHILE);
            stage.set_ready(&["n2-2", "n3-3"], true)
        },
        undo: NOTHING,
        kills: None,
        breaks_without: false,
        happens_to: BOTH,
    },
    ClusterEvent {
        name: "router rehash and node join within 100 ms",
        prepare: NOTHING,
        act: |stage| {
            stage.route(&["n4", "n2", "n1"])?;
            stage.join(JOINING_NODE)
        },
        undo: without_newcomer,
        kills: None,
        breaks_without: true,
        happens_to: BOTH,
    },
    ClusterEvent {
        name: "agent of a node killed",
        prepare: NOTHING,
        act: |stage| stage.lab.node("n2")?.kill_agent(),
        undo: |stage| {
            stage.start_agents(&["n2"])?;
            stage.wait_alive(&INITIAL_NODES)
        },
        kills: None,
        breaks_without: false,
        happens_to: &[Carrier::Fairlead],
    },
    ClusterEvent {
        name: "cable out for 300 ms",
        prepare: NOTHING,
        act: |stage| {
            let node = stage.lab.node("n3")?;
            node.cut_link()?;
            sleep(FLAP);
            node.restore_link()
        },
        undo: |stage| stage.wait_alive(&INITIAL_NODES),
        kills: None,
        breaks_without: false,
        happens_to: BOTH,
    },
    ClusterEvent {
        name: "node dies: cable out for good",
        prepare: NOTHING,
        act: |stage| {
            stage.lab.node("n3")?.cut_link()?;
            sleep(ROUTER_NOTICES);
            stage.route(&["n1", "n2", "n4"])
        },
        undo: |stage| {
            stage.lab.node("n3")?.restore_link()?;
            stage.wait_alive(&INITIAL_NODES)?;
            stage.route(&INITIAL_NODES)
        },
        kills: Some("n3"),
        breaks_without: true,
        happens_to: BOTH,
    },
];

impl ClusterEvent {
    /// Gathers a crowd, has the event happen, lets the crowd talk on, and returns what became of it and when
    /// the event was.
    ///
    /// # Errors
    /// When a step of it cannot be done; that connections break is in the toll.
    pub fn happen(&self, stage: &EventScenario<'_>) -> Result<(EventLoadReport, Instant)> {
        (self.prepare)(stage)?;
        let crowd = EventLoad::gather(stage.lab)?;
        let began = Instant::now();
        self.act(stage)?;
        sleep(AFTERWARDS);
        let toll = crowd.disperse()?;
        (self.undo)(stage)?;
        Ok((toll, began))
    }

    /// The event alone.
    ///
    /// # Errors
    /// When a step of it cannot be done.
    pub fn act(&self, stage: &EventScenario<'_>) -> Result<()> {
        (self.act)(stage)
    }
}

fn without_newcomer(stage: &EventScenario<'_>) -> Result<()> {
    stage.route(&INITIAL_NODES)?;
    stage.leave(JOINING_NODE)
}
