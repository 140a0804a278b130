//! One fault under observation.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cluster::RestartCluster;
use super::fault::FaultPlan;
use super::is_soak;
use super::route_monitor::RouteEvent;
use super::router_log::SessionEvent;
use super::stream::{PacketStream, StreamReport};
use super::vips::VIPS;
use crate::lab::Lab;
use crate::lab::topology::ECHO_PORT;
use crate::traffic::{RunningLoad, TcpLoad, TcpReport};

const OPEN_WITHIN: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_millis(400);
/// A connection that gets no answer for this long is broken.
const PATIENCE: Duration = Duration::from_secs(5);
/// The stream before the fault, which shows what the machine can do.
const CONTROL: Duration = Duration::from_secs(1);
/// The stream after the repair: a successor that repeats an announcement would do it by then.
const AFTERWARDS: Duration = Duration::from_millis(1500);
/// How often a trial is repeated for which the machine was too busy.
const ATTEMPTS: usize = 3;

/// Byte-checked connections to the VIPs.
#[derive(Debug)]
pub struct Connections {
    loads: Vec<RunningLoad<TcpReport>>,
}

/// What the observers saw of a fault.
#[derive(Clone, Debug)]
pub struct FaultOutcome {
    /// The fault.
    pub plan: FaultPlan,
    /// The stream through it.
    pub stream: StreamReport,
    /// Changes of the victim's sessions.
    pub sessions: Vec<SessionEvent>,
    /// Changes of routes to VIPs.
    pub routes: Vec<RouteEvent>,
    /// Connections that broke.
    pub broken: u64,
    /// The time from the beginning of the fault until the agent was ready again.
    pub took: Duration,
}

impl Connections {
    /// Opens them: 2,000 in the full form, 200 otherwise.
    ///
    /// # Errors
    /// When not all open.
    pub fn open(lab: &Lab) -> Result<Self> {
        let count = if is_soak() { 1000 } else { 100 };
        let mut loads = Vec::new();
        for vip in VIPS {
            let load = TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(count);
            loads.push(load.rest(REST).patience(PATIENCE).start(lab.client()?)?);
        }
        loads.iter().try_for_each(|load| load.wait_open(count as u64, OPEN_WITHIN))?;
        Ok(Self { loads })
    }

    /// Returns how many have broken so far.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.loads.iter().map(RunningLoad::failed).sum()
    }

    /// Closes them cleanly, and returns a report for each VIP.
    ///
    /// # Errors
    /// When a load could not run.
    pub fn finish(self) -> Result<Vec<TcpReport>> {
        // A silence that has begun is noticed by then.
        sleep(PATIENCE + REST);
        self.loads.into_iter().map(RunningLoad::finish).collect()
    }
}

impl FaultOutcome {
    /// Returns whether anything outside the node has noticed the fault.
    #[must_use]
    pub fn is_noticed(&self) -> bool {
        self.stream.lost_by_fault() > 0
            || self.stream.duplicated > 0
            || !self.sessions.is_empty()
            || !self.routes.is_empty()
            || self.broken > 0
    }

    /// Returns the evidence: what routers logged and when datagrams were lost.
    #[must_use]
    pub fn evidence(&self) -> String {
        let Self { stream, sessions, routes, broken, .. } = self;
        let sessions = sessions.iter().map(|it| format!("  {}: {}", it.router.name(), it.line));
        let routes = routes.iter().map(|it| format!("  {}: {}", it.router.name(), it.line));
        let lines: Vec<String> = sessions.chain(routes).take(40).collect();
        let head =
            format!("{} ({}): {broken} broken; {stream:?}", self.plan.fault.name(), self.plan.keeping.name());
        format!("{head}\n{}", lines.join("\n"))
    }
}

/// Lets the victim's agent fail so, and repairs it; repeats a trial in which the machine dropped packets for
/// lack of time.
///
/// # Errors
/// When the cluster does not settle, or the machine is too busy every time.
pub fn run_fault(
    cluster: &RestartCluster<'_>,
    connections: &Connections,
    plan: FaultPlan,
) -> Result<FaultOutcome> {
    for _ in 0..ATTEMPTS {
        cluster.wait_settled()?;
        if let Some(outcome) = attempt(cluster, connections, plan).with_context(|| plan.fault.name())? {
            return Ok(outcome);
        }
    }
    bail!("{}: this machine is too busy for {ATTEMPTS} trials", plan.fault.name())
}

/// Returns `None` if the machine was too busy.
fn attempt(
    cluster: &RestartCluster<'_>,
    connections: &Connections,
    plan: FaultPlan,
) -> Result<Option<FaultOutcome>> {
    let (lab, node) = (cluster.lab, cluster.victim()?);
    let control = PacketStream::start(lab)?;
    sleep(CONTROL);
    let control = control.finish()?;
    if control.lost > 0 || control.duplicated > 0 {
        println!("without a fault: {control:?}");
        return Ok(None);
    }
    let broken = connections.broken();
    let (sessions, routes) = (cluster.log.mark()?, cluster.routes.mark()?);
    let stream = PacketStream::start(lab)?;
    sleep(CONTROL / 2);
    let begun = Instant::now();
    plan.begin(&node)?;
    plan.last(lab, &node)?;
    plan.end(lab, &node)?;
    let took = begun.elapsed();
    sleep(AFTERWARDS);
    let outcome = FaultOutcome {
        plan,
        stream: stream.finish()?,
        sessions: cluster.log.of_host(node.spec().addresses(), &sessions)?,
        routes: cluster.routes.since(routes)?,
        broken: connections.broken() - broken,
        took,
    };
    // Losses that the machine explains are neither the fault's nor proof of its absence.
    let is_excused = outcome.stream.lost > 0 && outcome.stream.lost_by_fault() == 0;
    Ok((!is_excused).then_some(outcome))
}
