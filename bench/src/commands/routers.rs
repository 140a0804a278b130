//! `cargo xtask bench routers`: how long routers send packets to a dead load balancer.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use fairlead_bench::progress;
use fairlead_bench::results::{self, RunStart};
use fairlead_bench::routers::{BalancerKind, RouterSettings, measure};
use fairlead_tests::failover::{FailoverFault, ObserverKind};

/// Breaks a load balancer in the lab repeatedly, and measures when its router detects the fault and when the
/// router's kernel stops sending packets to it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Rounds, each of one trial of each kind [default: 3].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// BFD intervals in milliseconds, with a multiplier of three [default: 50].
    #[arg(long, value_delimiter = ',')]
    intervals: Vec<u64>,
    /// Routers that observe [default: frr,bird].
    #[arg(long, value_enum, value_delimiter = ',')]
    observers: Vec<ObserverKind>,
    /// Faults of the load balancer [default: link-cut,kill,leave].
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<FailoverFault>,
    /// Load balancers on the nodes [default: agent,bird].
    #[arg(long, value_enum, value_delimiter = ',')]
    balancers: Vec<BalancerKind>,
    /// Measure one fault of one load balancer, once.
    #[arg(long)]
    quick: bool,
    /// Write the results to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let start = RunStart::now()?;
    let mut settings = RouterSettings::new(arguments.quick);
    settings.rounds = arguments.rounds.unwrap_or(settings.rounds);
    super::replace(&mut settings.intervals, arguments.intervals);
    super::replace(&mut settings.observers, arguments.observers);
    super::replace(&mut settings.faults, arguments.faults);
    super::replace(&mut settings.balancers, arguments.balancers);
    let bar = progress::bar("routers", settings.steps());
    let tables = measure(&settings, &|| bar.inc(1))?;
    bar.finish_and_clear();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}
