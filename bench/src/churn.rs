//! How many long-lived connections of healthy nodes break when a cluster changes, for Fairlead and for what
//! it is compared with.

pub mod event;

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use fairlead_tests::contenders::{Contender, ContenderSettings, RunningContender};
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::traffic::TcpLoad;

pub use self::event::ChurnEvent;
use crate::connections::ConnectionCount;
use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable};

const BROKEN: &str = "broken";
/// Long-lived connections, spread over all nodes.
const CONNECTIONS: usize = 2000;
/// How long a connection rests between exchanges: every one has several before and after an event.
const REST: Duration = Duration::from_millis(500);
/// How long an exchange may take: longer than any of the set-ups takes to heal.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long all connections may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// The time before an event: an exchange or two of every connection.
const BEFORE: Duration = Duration::from_secs(1);
/// How long the router may take to follow an event; a session that was lost is set up again.
const ROUTED_WITHIN: Duration = Duration::from_secs(30);
/// How long the load goes on after an event: the time that BFD takes, a few retransmissions, and several
/// exchanges of every connection.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// What is measured.
#[derive(Clone, Debug)]
pub struct ChurnSettings {
    /// Rounds.
    pub rounds: u32,
    /// The set-ups.
    pub contenders: Vec<Contender>,
    /// The events.
    pub events: Vec<ChurnEvent>,
}

impl ChurnSettings {
    /// Returns the settings of a run within minutes, or of a short one.
    #[must_use]
    pub fn new(is_quick: bool) -> Self {
        if is_quick {
            let contenders = vec![Contender::MetallbBgpBfd, Contender::FairleadBgpBfd];
            return Self { rounds: 1, contenders, events: vec![ChurnEvent::Join, ChurnEvent::Death] };
        }
        let contenders = vec![
            Contender::MetallbBgpBfd,
            Contender::ResilientEcmp,
            Contender::FairleadL2,
            Contender::FairleadBgpBfd,
        ];
        Self { rounds: 1, contenders, events: ChurnEvent::ALL.into() }
    }

    /// Returns the number of trials.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.contenders.len() * self.events.len() * self.rounds as usize
    }
}

/// Measures, and calls `progress` before every trial with its description.
///
/// # Errors
/// When a set-up does not start or does not serve.
pub fn measure(settings: &ChurnSettings, progress: &dyn Fn(&str)) -> Result<Vec<ResultTable>> {
    let mut table = ResultTable {
        id: "churn".to_owned(),
        title: "Connections of healthy nodes that break".to_owned(),
        method: format!(
            "{CONNECTIONS} long-lived TCP connections, every byte checked, over four nodes with two pods each, \
             externalTrafficPolicy Local. A connection breaks if it is reset, gets a wrong byte, or waits for \
             {} s. Those of a node that dies are not counted. Every event happens to a set-up of its own.",
            PATIENCE.as_secs()
        ),
        labels: ["event", "set-up"].map(str::to_owned).into(),
        plot: Some(Plot::Bars),
        ..ResultTable::default()
    };
    for _ in 0..settings.rounds {
        for &event in &settings.events {
            for &contender in &settings.contenders {
                let name = format!("{}: {}", event.name(), contender.name());
                progress(&name);
                let setting = ContenderSettings { nodes: 4, machines: 1, ..ContenderSettings::default() };
                let mut setup = contender.start(setting).with_context(|| name.clone())?;
                let count = run(&mut setup, event);
                let count = count.with_context(|| format!("{name}\n{}", setup.lab().logs()))?;
                let row = table.row_mut(&[event.name(), contender.name()]);
                let share = f64::from(count.survivors_broken) / f64::from(count.survivors.max(1));
                row.push(BROKEN, FigureUnit::Share, share);
                row.push("broken connections", FigureUnit::Count, f64::from(count.survivors_broken));
                row.push("connections", FigureUnit::Count, f64::from(count.survivors));
            }
        }
    }
    table.goals = goals(&table);
    Ok(vec![table])
}

/// Lets an event happen under the load.
fn run(setup: &mut RunningContender, event: ChurnEvent) -> Result<ConnectionCount> {
    let node = setup.settings().entry();
    let machine = format!("n{}", setup.settings().nodes + 1);
    event.prepare(setup, &node)?;
    if event == ChurnEvent::Undrain {
        wait_routed(setup, &node, true)?;
    }
    let load = TcpLoad::to(SocketAddr::new(setup.vip(), ECHO_PORT)).connections(CONNECTIONS);
    let load = load.rest(REST).patience(PATIENCE).start(setup.lab().client()?)?;
    load.wait_open(CONNECTIONS as u64, OPEN_WITHIN)?;
    sleep(BEFORE);
    event.trigger(setup, &node, &machine)?;
    wait_routed(setup, &node, event.removes_node())?;
    sleep(AFTERWARDS);
    setup.check()?;
    let report = load.finish()?;
    let taken = event.takes_node().then_some(node.as_str());
    Ok(ConnectionCount::of(&report, |pod| setup.lab().node_of_pod(pod), taken))
}

/// Waits until the router sends to all nodes that should attract packets, or to all but this one.
fn wait_routed(setup: &RunningContender, node: &str, is_without: bool) -> Result<()> {
    if setup.contender() == Contender::ResilientEcmp {
        // Its group follows FRR's routes within milliseconds; FRR has a session again within this time.
        sleep(AFTERWARDS);
        return Ok(());
    }
    let mut nodes = setup.attracting();
    nodes.retain(|it| !is_without || it != node);
    setup.wait_routed(&nodes, ROUTED_WITHIN)
}

/// Returns the goals of the rows that are there.
fn goals(table: &ResultTable) -> Vec<Goal> {
    let fairlead = [Contender::FairleadL2, Contender::FairleadBgpBfd].into_iter().flat_map(|contender| {
        ChurnEvent::ALL.map(|event| (event, contender, "no connection breaks", Bound::AtMost(0.0)))
    });
    // The kernel's ECMP gives each next hop a range of hashes: one more moves half of all flows. What one
    // less moves depends on its place.
    let ecmp = [ChurnEvent::Join].map(|event| {
        (event, Contender::MetallbBgpBfd, "ECMP breaks connections of healthy nodes", Bound::AtLeast(0.3))
    });
    let goals = fairlead.chain(ecmp).filter_map(|(event, contender, name, bound)| {
        let row = [event.name(), contender.name()].map(str::to_owned).to_vec();
        table.row(&row)?;
        let subject = GoalSubject::Figure { row, figure: BROKEN.to_owned() };
        Some(Goal { name: format!("{}: {name}", event.name()), subject, bound })
    });
    goals.collect()
}
