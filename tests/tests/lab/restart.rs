//! Tests that an agent may die: no fault of it loses a packet, a session or a route, and a node that dies
//! meanwhile is still flushed as fast as BFD detects it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::restart::{
    Connections, DeathTable, FaultOutcome, FaultPlan, FaultTable, Keeping, RestartCluster, RestartFault,
    SessionSettings, is_soak, measure_death, rounds, run_fault, topology,
};
use fairlead_tests::routers::GracefulRestartMode;

/// Serializes the tests of this file, which measure times and losses.
static ALONE: Mutex<()> = Mutex::new(());

/// The intervals of BFD in the full form, and in the ordinary one.
const INTERVALS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(10)];
const NODES: u8 = 2;

/// The faults that end an agent: routers see them if it keeps nothing.
const REFERENCES: [RestartFault; 4] =
    [RestartFault::Killed, RestartFault::OutOfMemory, RestartFault::CrashLoop, RestartFault::Restarted];
/// The faults of the ordinary form.
const ORDINARY: [RestartFault; 6] = [
    RestartFault::Killed,
    RestartFault::Upgraded,
    RestartFault::OutOfMemory,
    RestartFault::KeeperKilled,
    RestartFault::Restarted,
    RestartFault::Surged,
];
/// The faults of the ordinary form during which the node dies.
const ORDINARY_DEATHS: [RestartFault; 2] = [RestartFault::Killed, RestartFault::Suspended];

fn intervals() -> &'static [Duration] {
    if is_soak() { &INTERVALS } else { &INTERVALS[..1] }
}

/// An agent that keeps nothing fails first: its death must be seen, or the observers see nothing.
#[test]
fn no_fault_of_an_agent_is_noticed_outside_its_node() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for interval in intervals() {
        topology(NODES).run(|lab| {
            let cluster =
                RestartCluster::start(lab, SessionSettings::every(*interval), &Keeping::Off.options())?;
            let connections = Connections::open(lab)?;
            let mut table = FaultTable::default();
            let done = run_all(&cluster, &connections, &mut table);
            println!("BFD every {interval:?}:\n{table}");
            let reports = connections.finish()?;
            reports.iter().for_each(|report| println!("{report}"));
            done?;
            let flaws: Vec<String> = table.outcomes().iter().filter_map(flaw).collect();
            ensure!(flaws.is_empty(), "{}", flaws.join("\n"));
            ensure!(reports.iter().all(|report| report.failed() == 0), "connections broke");
            Ok(())
        })?;
    }
    Ok(())
}

fn run_all(cluster: &RestartCluster<'_>, connections: &Connections, table: &mut FaultTable) -> Result<()> {
    for fault in if is_soak() { &REFERENCES[..] } else { &REFERENCES[..1] } {
        table.add(run_fault(cluster, connections, FaultPlan { fault: *fault, keeping: Keeping::Off })?);
    }
    for node in cluster.lab.nodes()? {
        node.kill_agent()?;
        node.start_agent(&Keeping::On.options())?;
    }
    let faults = if is_soak() { &RestartFault::ALL[..] } else { &ORDINARY };
    for fault in faults {
        for _ in 0..rounds() {
            table.add(run_fault(cluster, connections, FaultPlan { fault: *fault, keeping: Keeping::On })?);
        }
    }
    Ok(())
}

/// Returns what is not as promised of an outcome.
fn flaw(outcome: &FaultOutcome) -> Option<String> {
    let kept = outcome.plan.keeping != Keeping::Off;
    let is_seen = !outcome.sessions.is_empty() && !outcome.routes.is_empty();
    let is_wrong = if kept && !outcome.plan.fault.ends_sessions() {
        outcome.is_noticed()
    } else {
        // The program forwards also without the sessions, but a router that replaces a route may drop a
        // packet.
        outcome.broken > 0 || !kept && !is_seen
    };
    is_wrong.then(|| outcome.evidence())
}

#[test]
fn a_node_that_dies_without_its_agent_is_flushed_at_the_speed_of_bfd() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for interval in intervals() {
        topology(NODES).run(|lab| {
            let cluster =
                RestartCluster::start(lab, SessionSettings::every(*interval), &Keeping::On.options())?;
            let (mut table, mut flaws) = (DeathTable::default(), Vec::new());
            let faults = if is_soak() { &RestartFault::ALL[..] } else { &ORDINARY_DEATHS };
            let plans = faults.iter().map(|fault| Some(FaultPlan { fault: *fault, keeping: Keeping::On }));
            for plan in [None].into_iter().chain(plans) {
                // Without an agent or a keeper there is no session that could be flushed.
                if plan.is_some_and(|plan| plan.fault == RestartFault::BothKilled) {
                    continue;
                }
                for _ in 0..rounds() {
                    let death = measure_death(&cluster, plan)?;
                    flaws.extend(death.flaw());
                    table.add(death);
                }
            }
            println!("BFD every {interval:?}, time from the cut of the link to the last route:\n{table}");
            ensure!(flaws.is_empty(), "{flaws:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Without a keeper, graceful restart (RFC 4724) keeps the routes, but not the sessions.
#[test]
fn graceful_restart_keeps_the_routes_when_agent_and_keeper_are_killed() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    topology(NODES).run(|lab| {
        let graceful_restart = GracefulRestartMode::Helper;
        let settings = SessionSettings { graceful_restart, ..SessionSettings::every(INTERVALS[0]) };
        let cluster = RestartCluster::start(lab, settings, &Keeping::On.options())?;
        let connections = Connections::open(lab)?;
        let plan = FaultPlan { fault: RestartFault::BothKilled, keeping: Keeping::On };
        let mut table = FaultTable::default();
        for _ in 0..rounds() {
            table.add(run_fault(&cluster, &connections, plan)?);
        }
        println!("with graceful restart:\n{table}");
        for outcome in table.outcomes() {
            ensure!(!outcome.sessions.is_empty(), "the sessions survived: the keeper was not killed");
            let lost = outcome.stream.lost_by_fault() + outcome.broken;
            ensure!(outcome.routes.is_empty() && lost == 0, "{}", outcome.evidence());
        }
        Ok(())
    })
}
