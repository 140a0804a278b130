//! `cargo xtask bench failover`: how long routers send packets to a dead load balancer.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use fairlead_tests::failover::{
    AgentBalancer, Balancer, BirdBalancer, Failover, FailoverFault, ObserverKind, Trial,
};
use fairlead_tests::routers::BfdTimers;
use indicatif::{ProgressBar, ProgressDrawTarget};

/// Breaks a load balancer in the lab repeatedly, and measures when its router detects the fault and when the
/// router's kernel stops sending packets to it, in milliseconds after the fault.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Trials of each kind.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    tries: u32,
    /// BFD intervals in milliseconds, with a multiplier of three.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 10])]
    intervals: Vec<u64>,
    /// Routers that observe.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "frr,bird")]
    observers: Vec<ObserverKind>,
    /// Faults of the load balancer.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "link-cut,kill,hang,leave")]
    faults: Vec<FailoverFault>,
    /// Load balancers on the nodes.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "agent,bird")]
    balancers: Vec<Stands>,
}

/// A load balancer.
#[derive(Clone, Copy, ValueEnum)]
enum Stands {
    /// Fairlead's agent.
    Agent,
    /// BIRD, as the reference.
    Bird,
}

impl Stands {
    const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Bird => "BIRD",
        }
    }

    fn make(self, bfd: BfdTimers) -> Box<dyn Balancer> {
        match self {
            Self::Agent => Box::new(AgentBalancer::new(bfd)),
            Self::Bird => Box::new(BirdBalancer::new(bfd)),
        }
    }
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["balancer", "observer", "BFD", "fault", "tries", "BFD down", "BGP down", "route gone"]);
    let rows = arguments.balancers.len()
        * arguments.observers.len()
        * arguments.intervals.len()
        * arguments.faults.len();
    let steps = u64::try_from(rows)?.saturating_mul(arguments.tries.into());
    let progress = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
    for &balancer in &arguments.balancers {
        for &observer in &arguments.observers {
            for &interval in &arguments.intervals {
                for row in measure(&arguments, balancer, observer, interval, &progress)? {
                    table.add_row(row);
                }
            }
        }
    }
    progress.finish_and_clear();
    for column in 4..=7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("min/median/max, ms after the fault\n{}", table.trim_fmt());
    Ok(())
}

/// Measures all rows of one observer and one interval, which share a lab.
fn measure(
    arguments: &Arguments,
    balancer: Stands,
    kind: ObserverKind,
    interval: u64,
    progress: &ProgressBar,
) -> Result<Vec<[String; 8]>> {
    let bfd = BfdTimers::every(Duration::from_millis(interval));
    let mut failover = Failover::start(kind, bfd, &|bfd| balancer.make(bfd))?;
    let mut rows = Vec::new();
    for &fault in &arguments.faults {
        let mut trials = Vec::new();
        for _ in 0..arguments.tries {
            let trial = failover.measure(fault);
            trials.push(trial.with_context(|| format!("{} {interval}x3", kind.name()))?);
            progress.inc(1);
        }
        rows.push([
            balancer.name().to_owned(),
            kind.name().to_owned(),
            format!("{interval}x{}", bfd.multiplier),
            fault.name().to_owned(),
            trials.len().to_string(),
            spread(&trials, |trial| trial.bfd_down),
            spread(&trials, |trial| trial.bgp_down),
            spread(&trials, |trial| Some(trial.route_gone)),
        ]);
    }
    Ok(rows)
}

/// Formats `min/median/max`, and the number of values where some are missing.
fn spread(trials: &[Trial], value: impl Fn(&Trial) -> Option<Duration>) -> String {
    let mut values: Vec<Duration> = trials.iter().filter_map(value).collect();
    values.sort_unstable();
    let (Some(least), Some(median), Some(most)) =
        (values.first(), values.get(values.len() / 2), values.last())
    else {
        return "-".to_owned();
    };
    let [least, median, most] = [least, median, most].map(|value| milliseconds(*value));
    let missing = if values.len() < trials.len() { format!(" ({})", values.len()) } else { String::new() };
    format!("{least}/{median}/{most}{missing}")
}

/// Formats milliseconds, with tenths below ten.
fn milliseconds(value: Duration) -> String {
    let value = value.as_secs_f64() * 1000.0;
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
