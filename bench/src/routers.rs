//! How long routers send packets to a load balancer that has failed.
//!
//! All set-ups, a load balancer below a router each, run side by side; every round breaks each of them once
//! in every way.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use fairlead_tests::failover::{
    AgentBalancer, Balancer, BirdBalancer, Failover, FailoverFault, ObserverKind, Trial,
};
use fairlead_tests::routers::BfdTimers;

use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable};

/// The figure that goals limit.
const ROUTE_GONE: &str = "route gone";
/// The interval that goals are about, in milliseconds.
const GOAL_INTERVAL: u64 = 50;

/// What is measured.
#[derive(Clone, Debug)]
pub struct RouterSettings {
    /// Rounds.
    pub rounds: u32,
    /// BFD intervals in milliseconds, with a multiplier of three.
    pub intervals: Vec<u64>,
    /// Routers that observe.
    pub observers: Vec<ObserverKind>,
    /// Faults of the load balancer.
    pub faults: Vec<FailoverFault>,
    /// Load balancers on the nodes.
    pub balancers: Vec<BalancerKind>,
}

/// A load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BalancerKind {
    /// Fairlead's agent.
    Agent,
    /// BIRD, as the reference.
    Bird,
}

/// A set-up that runs.
struct RunningSetup {
    balancer: BalancerKind,
    observer: ObserverKind,
    timers: String,
    failover: Failover,
}

impl BalancerKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Bird => "BIRD",
        }
    }

    fn create(self, bfd: BfdTimers) -> Box<dyn Balancer> {
        match self {
            Self::Agent => Box::new(AgentBalancer::new(bfd)),
            Self::Bird => Box::new(BirdBalancer::new(bfd)),
        }
    }
}

impl RouterSettings {
    /// Returns the settings of a run within minutes, or of a short one.
    #[must_use]
    pub fn new(is_quick: bool) -> Self {
        let faults = match is_quick {
            true => vec![FailoverFault::LinkCut],
            false => vec![FailoverFault::LinkCut, FailoverFault::Kill, FailoverFault::Leave],
        };
        let balancers = match is_quick {
            true => vec![BalancerKind::Agent],
            false => vec![BalancerKind::Agent, BalancerKind::Bird],
        };
        Self {
            rounds: if is_quick { 1 } else { 3 },
            intervals: vec![GOAL_INTERVAL],
            observers: vec![ObserverKind::Frr, ObserverKind::Bird],
            faults,
            balancers,
        }
    }

    /// Returns the number of steps that are reported to `progress`.
    #[must_use]
    pub fn steps(&self) -> usize {
        let setups = self.intervals.len() * self.observers.len() * self.balancers.len();
        setups * self.faults.len() * self.rounds as usize
    }

    fn start(&self) -> Result<Vec<RunningSetup>> {
        let mut setups = Vec::new();
        for &balancer in &self.balancers {
            for &observer in &self.observers {
                for &interval in &self.intervals {
                    let bfd = BfdTimers::every(Duration::from_millis(interval));
                    let failover = Failover::start(observer, bfd, &|bfd| balancer.create(bfd))?;
                    let timers = format!("{interval} ms × {}", bfd.multiplier);
                    setups.push(RunningSetup { balancer, observer, timers, failover });
                }
            }
        }
        Ok(setups)
    }
}

/// Measures, and calls `progress` after every trial.
///
/// # Errors
/// When a lab does not start, or a router does not notice a fault.
pub fn measure(settings: &RouterSettings, progress: &dyn Fn()) -> Result<Vec<ResultTable>> {
    let mut table = ResultTable {
        id: "routers".to_owned(),
        title: "Time for which a router sends packets to a load balancer that has failed".to_owned(),
        method:
            "Two load balancers advertise one address; one of them fails. The router's log has the times \
                 of BFD and BGP, and its kernel the time at which the route left."
                .to_owned(),
        labels: ["balancer", "router", "BFD", "fault"].map(str::to_owned).into(),
        plot: Some(Plot::Bars),
        ..ResultTable::default()
    };
    let mut setups = settings.start()?;
    for _ in 0..settings.rounds {
        for setup in &mut setups {
            for &fault in &settings.faults {
                let names = [setup.balancer.name(), setup.observer.name(), &setup.timers, fault.name()];
                let trial = setup.failover.measure(fault).with_context(|| names.join(", "))?;
                record(&mut table, &names, trial);
                progress();
            }
        }
    }
    table.goals = goals(&table);
    Ok(vec![table])
}

fn record(table: &mut ResultTable, labels: &[&str], trial: Trial) {
    let row = table.row_mut(labels);
    let times =
        [("BFD down", trial.bfd_down), ("BGP down", trial.bgp_down), (ROUTE_GONE, Some(trial.route_gone))];
    for (name, time) in times {
        // A router that learns of a fault by BGP need not report its BFD session.
        if let Some(time) = time {
            row.push(name, FigureUnit::Seconds, time.as_secs_f64());
        }
    }
}

/// Returns the goals of the rows that are there.
///
/// BFD at 50 ms × 3 detects within 150 ms. BIRD updates its kernel within a few milliseconds; FRR's daemons
/// hold changes for 50 ms and for 10 ms before they act, so its route leaves 160 to 210 ms after the fault,
/// and in the middle below 200 ms.
fn goals(table: &ResultTable) -> Vec<Goal> {
    let timers = format!("{GOAL_INTERVAL} ms × 3");
    let limits = [(ObserverKind::Frr, 0.2), (ObserverKind::Bird, 0.16)];
    let goals = limits.into_iter().map(|(router, limit)| {
        let row = [BalancerKind::Agent.name(), router.name(), &timers, FailoverFault::LinkCut.name()];
        Goal {
            name: format!("a link is cut: the route leaves {} within BFD's time", router.name()),
            subject: GoalSubject::Figure {
                row: row.map(str::to_owned).into(),
                figure: ROUTE_GONE.to_owned(),
            },
            bound: Bound::AtMost(limit),
        }
    });
    goals.filter(|goal| goal.measured(table).is_some()).collect()
}
