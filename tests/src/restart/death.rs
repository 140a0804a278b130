//! Death of a node while its agent is away.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cluster::RestartCluster;
use super::fault::FaultPlan;
use super::route_monitor::RouteMark;
use super::vips::VIPS;
use crate::failover::ObserverKind;
use crate::failover::clock::TimeOfDay;
use crate::lab::LabNode;
use crate::lab::addresses::IpVersion;
use crate::routers::{kernel_next_hops, wait};

/// The time from the fault to the cut.
const BEFORE: Duration = Duration::from_millis(1500);
/// Far more than a detection time, and less than a hold time or a restart timer.
const NOTICED_WITHIN: Duration = Duration::from_secs(8);
const READ_EVERY: Duration = Duration::from_millis(20);

/// The time that both routers needed to stop sending to a dead node.
#[derive(Clone, Debug)]
pub struct NodeDeath {
    /// The fault that had begun before; `None`: the agent was well.
    pub plan: Option<FaultPlan>,
    /// The detection time of BFD.
    pub detection: Duration,
    /// From the cut to the change of the last route.
    pub gone: [(ObserverKind, FlushTime); 2],
}

/// When the routes via the dead node were gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushTime {
    /// Before it died.
    Before,
    /// So long after the cut.
    After(Duration),
    /// Not in time.
    Never,
}

impl NodeDeath {
    /// Returns the most that a router may need: detection, its own latency, and what a busy machine adds.
    /// FRR needs 70 ms until its kernel has another route, BIRD less than one.
    #[must_use]
    pub fn limit(&self, router: ObserverKind) -> Duration {
        let latency = if router == ObserverKind::Frr { 70 } else { 1 };
        self.detection + Duration::from_millis(latency + 250)
    }

    /// Returns what was slower than BFD, if anything.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        let name = self.plan.map_or("no fault", |plan| plan.fault.name());
        let slow = |(router, time): &(ObserverKind, FlushTime)| match time {
            FlushTime::After(time) if *time <= self.limit(*router) => None,
            other => Some(format!("{name}: {}: {other:?}", router.name())),
        };
        self.gone.iter().find_map(slow)
    }
}

/// Lets the victim's agent fail, cuts the node off meanwhile, measures, and repairs both.
///
/// # Errors
/// When the cluster does not settle, or the switch does not report the cut.
pub fn measure_death(cluster: &RestartCluster<'_>, plan: Option<FaultPlan>) -> Result<NodeDeath> {
    cluster.wait_settled()?;
    let node = cluster.victim()?;
    let routes = cluster.routes.mark()?;
    if let Some(plan) = &plan {
        plan.begin(&node)?;
        sleep(BEFORE);
    }
    let cut = cut(cluster, &node)?;
    let router = |kind| flush_time(cluster, &node, kind, routes, cut).map(|time| (kind, time));
    let gone = [router(ObserverKind::Frr), router(ObserverKind::Bird)];
    node.restore_link()?;
    if let Some(plan) = &plan {
        plan.end(cluster.lab, &node)?;
    }
    let [frr, bird] = gone;
    let detection = cluster.timers.receive * u32::from(cluster.timers.multiplier);
    Ok(NodeDeath { plan, detection, gone: [frr?, bird?] })
}

/// Cuts the node's link and returns the kernel's time of it: starting `ip` takes time.
fn cut(cluster: &RestartCluster<'_>, node: &LabNode<'_>) -> Result<TimeOfDay> {
    let ordered = TimeOfDay::now()?;
    node.cut_link()?;
    wait(NOTICED_WITHIN, || {
        let cut = cluster.routes.cut_after(node.name(), ordered)?;
        cut.context("the switch does not report the link down")
    })
}

/// Returns when a router's kernel had no route to any VIP via the node.
fn flush_time(
    cluster: &RestartCluster<'_>,
    node: &LabNode<'_>,
    router: ObserverKind,
    mark: RouteMark,
    cut: TimeOfDay,
) -> Result<FlushTime> {
    let mut waited = Duration::ZERO;
    loop {
        let events: Vec<_> =
            cluster.routes.since(mark)?.into_iter().filter(|it| it.router == router).collect();
        let time = |vip: &IpAddr| {
            let hop = node.spec().addresses().of(IpVersion::of(*vip));
            let mut events = events.iter().filter(|it| it.vip == *vip);
            events.find(|it| it.is_without(hop)).map(|it| it.at)
        };
        let times: Vec<TimeOfDay> = VIPS.iter().filter_map(time).collect();
        if times.len() == VIPS.len() {
            let after = times.iter().map(|at| at.since(cut)).collect::<Option<Vec<_>>>();
            return Ok(after.map_or(FlushTime::Before, |after| {
                FlushTime::After(after.into_iter().max().unwrap_or_default())
            }));
        }
        if waited > NOTICED_WITHIN {
            return Ok(FlushTime::Never);
        }
        sleep(READ_EVERY);
        waited += READ_EVERY;
    }
}

/// Waits until both routers have no route via a node, and returns the longest time since `begun`.
///
/// # Errors
/// When one still has it in the end.
pub fn wait_withdrawn(
    cluster: &RestartCluster<'_>,
    node: &str,
    mark: RouteMark,
    begun: Instant,
) -> Result<Duration> {
    let (node, now) = (cluster.lab.node(node)?, TimeOfDay::now()?);
    let since = now.before(begun.elapsed());
    let mut longest = Duration::ZERO;
    for router in [ObserverKind::Frr, ObserverKind::Bird] {
        match flush_time(cluster, &node, router, mark, since)? {
            FlushTime::After(time) => longest = longest.max(time),
            other => bail!("{}: routes via {}: {other:?}", router.name(), node.name()),
        }
    }
    Ok(longest)
}

/// Returns whether both routers send to a node.
///
/// # Errors
/// When a kernel does not answer.
pub fn has_routes_via(cluster: &RestartCluster<'_>, node: &str) -> Result<bool> {
    let addresses = cluster.lab.node(node)?.spec().addresses();
    for router in [ObserverKind::Frr, ObserverKind::Bird] {
        for vip in VIPS {
            let hops = kernel_next_hops(cluster.router(router), vip.into())?;
            if !hops.contains(&addresses.of(IpVersion::of(vip))) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
