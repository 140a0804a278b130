//! A measurement of how long clients of the segment wait when the announcer of their address fails.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::frames::HostMac;
use super::observer::{SegmentLog, SegmentObserver, Tenure};
use super::segment::{Detection, OBSERVER, PREEMPT_AFTER, mac_of, observe, options};
use crate::lab::topology::DATAGRAM_PORT;
use crate::lab::{Lab, LabHost, LabNode};
use crate::traffic::probes::{Outage, ProbeReport};
use crate::traffic::{Probes, RunningLoad};

/// The time before the fault, in which every probe must be answered.
const BEFORE: Duration = Duration::from_millis(300);
/// The time for which the fault lasts: clients must be served long before its end.
const AFTERWARDS: Duration = Duration::from_millis(900);
/// The time for which one station alone must have answered before the next round.
const SETTLED_FOR: Duration = Duration::from_millis(400);
/// The time that a repaired node may take until it announces again, beyond [`PREEMPT_AFTER`]: it may have to
/// start first.
const BACK_WITHIN: Duration = Duration::from_secs(20);
/// The time from one probe of an address to the next: the resolution of the measurement.
pub const PROBES_EVERY: Duration = Duration::from_millis(2);

/// A fault of the node that announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnouncerFault {
    /// Its cable is pulled: its interface loses its carrier.
    CablePulled,
    /// Its agent is killed and its program removed.
    ProgramGone,
    /// It neither sends nor receives, and its interface keeps its carrier.
    Frozen,
    /// It is drained.
    Drained,
    /// Its Node object is deleted.
    NodeDeleted,
}

/// One round.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// The longest that an address was not served; zero if every probe was answered.
    pub outage: Duration,
    /// The time from the fault to the first announcement by another node.
    pub announced: Option<Duration>,
    /// The time from the repair to the first answer of the repaired node.
    pub back: Duration,
    /// The longest that two nodes both answered while one handed an address over to the other.
    pub overlap: Duration,
    /// What was not as promised: others than one node took over, or the repaired one took back early, or more
    /// than once.
    pub flaw: Option<String>,
}

impl AnnouncerFault {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::CablePulled, Self::ProgramGone, Self::Frozen, Self::Drained, Self::NodeDeleted];

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CablePulled => "cable pulled",
            Self::ProgramGone => "agent and program gone",
            Self::Frozen => "node frozen",
            Self::Drained => "drained",
            Self::NodeDeleted => "Node deleted",
        }
    }

    /// Injects it.
    ///
    /// # Errors
    /// When a program fails.
    pub fn inject(self, lab: &Lab, node: &LabNode<'_>) -> Result<()> {
        match self {
            Self::CablePulled => node.cut_link(),
            Self::ProgramGone => {
                node.kill_agent()?;
                node.detach()
            }
            Self::Frozen => isolate(lab, node, true),
            Self::Drained => node.fairlead(&["drain", "--no-wait"]).map(drop),
            Self::NodeDeleted => set_member(lab, node, false),
        }
    }

    /// Repairs it.
    ///
    /// # Errors
    /// When a program fails.
    pub fn repair(self, lab: &Lab, node: &LabNode<'_>, detection: Detection) -> Result<()> {
        match self {
            Self::CablePulled => node.restore_link(),
            Self::ProgramGone => {
                node.start_agent(&options(detection))?;
                crate::lab::agents::prioritize(lab)
            }
            Self::Frozen => isolate(lab, node, false),
            Self::Drained => node.fairlead(&["drain", "--undo"]).map(drop),
            Self::NodeDeleted => set_member(lab, node, true),
        }
    }
}

/// Takes the switch port of a host out of the bridge, which the host does not notice, or puts it back.
///
/// # Errors
/// When there is no such port.
pub fn isolate(lab: &Lab, host: &LabHost, isolated: bool) -> Result<()> {
    let master = if isolated { "nomaster" } else { "master br0" };
    lab.host("switch-a")?.ip(&[format!("link set {} {master}", host.name())])
}

fn set_member(lab: &Lab, node: &LabNode<'_>, member: bool) -> Result<()> {
    lab.update(|cluster| {
        cluster.node_mut(node.name())?.member = member;
        Ok(())
    })
}

/// Waits until `node` is the one that answers for these addresses.
///
/// # Errors
/// When it is not in time.
pub fn wait_announcer(lab: &Lab, node: &str, addresses: &[IpAddr]) -> Result<()> {
    let observer = observe(lab, addresses, Duration::from_millis(10))?;
    observer.wait_settled(addresses, mac_of(lab, node)?, SETTLED_FOR, BACK_WITHIN)
}

/// Lets `node` fail, which announces these addresses, measures, repairs it, and waits until it announces them
/// again.
///
/// # Errors
/// When clients are not served in the end, or the node does not come back.
pub fn measure(
    lab: &Lab,
    node: &LabNode<'_>,
    addresses: &[IpAddr],
    fault: AnnouncerFault,
    detection: Detection,
) -> Result<Takeover> {
    let mac = mac_of(lab, node.name())?;
    let observer = observe(lab, addresses, Duration::from_millis(5))?;
    observer.wait_settled(addresses, mac, SETTLED_FOR, BACK_WITHIN)?;
    let probes = addresses.iter().map(|address| probe(lab, *address)).collect::<Result<Vec<_>>>()?;
    sleep(BEFORE);
    let failed = Instant::now();
    fault.inject(lab, node)?;
    sleep(AFTERWARDS);
    let reports = probes.into_iter().map(RunningLoad::finish).collect::<Result<Vec<_>>>()?;
    fault.repair(lab, node, detection)?;
    let repaired = Instant::now();
    observer.wait_settled(addresses, mac, SETTLED_FOR, PREEMPT_AFTER + BACK_WITHIN)?;
    let log = observer.finish()?;
    let outages = reports.iter().map(|it| longest(it, failed)).collect::<Result<Vec<_>>>()?;
    let handovers = addresses
        .iter()
        .map(|address| Handover::read(&log, *address, mac, detection, (failed, repaired)))
        .collect::<Result<Vec<_>>>()?;
    let back = handovers.iter().map(|it| it.back).min().unwrap_or_default();
    let mut flaw = handovers.iter().find_map(|it| it.flaw.clone());
    // The start of an agent is part of a repair, and the node waits from some moment in it.
    if fault != AnnouncerFault::ProgramGone && back + SLACK < PREEMPT_AFTER {
        flaw.get_or_insert_with(|| format!("took back {back:.3?} after its repair"));
    }
    let announced = log.frames.iter().find(|it| {
        let frame = it.frame;
        it.at > failed && frame.is_claim() && frame.mac != mac && addresses.contains(&frame.address)
    });
    Ok(Takeover {
        outage: outages.into_iter().max().unwrap_or_default(),
        announced: announced.map(|it| it.at.saturating_duration_since(failed)),
        back,
        flaw,
        overlap: handovers.iter().map(|it| it.overlap).max().unwrap_or_default(),
    })
}

/// The errors of clocks and of the moment at which a fault begins and ends.
const SLACK: Duration = Duration::from_millis(50);

/// The return of one address.
struct Handover {
    back: Duration,
    overlap: Duration,
    flaw: Option<String>,
}

impl Handover {
    /// Reads from the log that others took over, and that the repaired node took back once.
    ///
    /// Until it hears from the others, which takes a detection time at most, a node that was cut off does not
    /// know that it was.
    fn read(
        log: &SegmentLog,
        address: IpAddr,
        mac: HostMac,
        detection: Detection,
        times: (Instant, Instant),
    ) -> Result<Self> {
        let (failed, repaired) = times;
        let blur = detection.time() + 2 * SLACK;
        let tenures = log.tenures(address, blur);
        let is_first = |it: &&Tenure| it.mac == mac;
        let before = tenures.first().filter(is_first).context("another node answered before the fault")?;
        let after = tenures.last().filter(is_first).context("another node answers at the end")?;
        let between: Vec<&Tenure> = tenures[1..tenures.len() - 1].iter().collect();
        let others = || between.iter().filter(|it| it.mac != mac);
        let started = others().map(|it| it.first).min().context("no node took over")?;
        let ended = others().map(|it| it.last).max().unwrap_or(started);
        let stations: BTreeSet<HostMac> = others().map(|it| it.mac).collect();
        let early =
            between.iter().filter(|it| it.mac == mac).map(|it| it.last.saturating_duration_since(repaired));
        let is_early = early.clone().any(|last| last > blur);
        let overlaps =
            [before.last.saturating_duration_since(started), ended.saturating_duration_since(after.first)];
        let overlap = overlaps.into_iter().chain(early).max().unwrap_or_default();
        let is_clean = stations.len() == 1 && !is_early && overlap <= blur;
        let flaw = (!is_clean).then(|| {
            let ms = |at: Instant| at.saturating_duration_since(failed).as_millis();
            let shape: Vec<_> =
                tenures.iter().map(|it| format!("{} {}-{}", it.mac, ms(it.first), ms(it.last))).collect();
            format!("{address}: answers in ms: {shape:?}; repaired at {}", ms(repaired))
        });
        Ok(Self { back: after.first.saturating_duration_since(repaired), overlap, flaw })
    }
}

/// Starts probes of an address from the observer's host, each from a port of its own.
///
/// # Errors
/// When the host cannot be entered.
pub fn probe(lab: &Lab, address: IpAddr) -> Result<RunningLoad<ProbeReport>> {
    let target = SocketAddr::new(address, DATAGRAM_PORT);
    Probes { every: PROBES_EVERY, ..Probes::to(target) }.start(lab.host(OBSERVER)?)
}

/// Returns how long an address was not served after the fault, from the last answered probe before the first
/// lost one to the first answered one after the last lost one.
fn longest(report: &ProbeReport, failed: Instant) -> Result<Duration> {
    let pods = report.pods_between(report.started, failed);
    ensure!(!pods.is_empty(), "nothing was answered before the fault");
    let outage: Option<Outage> = report.outage(failed);
    let answered = report.probes.last().context("no probe")?.pod.is_some();
    ensure!(answered, "still not served after {AFTERWARDS:?}: {outage:?}");
    Ok(outage.map_or(Duration::ZERO, |outage| outage.at_most))
}

/// Waits until the observer of a test has seen `mac` alone.
///
/// # Errors
/// When it has not in time.
pub fn wait_alone(observer: &SegmentObserver, addresses: &[IpAddr], mac: HostMac) -> Result<()> {
    observer.wait_settled(addresses, mac, SETTLED_FOR, BACK_WITHIN)
}
