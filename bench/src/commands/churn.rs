//! `cargo xtask bench churn`: how many connections survive changes of the cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use fairlead_bench::churn::{ChurnEvent, ChurnSettings, measure};
use fairlead_bench::progress;
use fairlead_bench::results::{self, RunStart};
use fairlead_tests::contenders::Contender;

/// Changes clusters under 2,000 long-lived connections, in labs with Fairlead and with what it is compared
/// with, and counts the connections of healthy nodes that break.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Rounds, each of one trial of each kind [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Set-ups [default: metallb-bgp-bfd,resilient-ecmp,fairlead-l2,fairlead-bgp-bfd].
    #[arg(long, value_enum, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// Events [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    events: Vec<ChurnEvent>,
    /// Measure the join and the death of a node below two set-ups, once.
    #[arg(long)]
    quick: bool,
    /// Write the results to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let start = RunStart::now()?;
    let mut settings = ChurnSettings::new(arguments.quick);
    settings.rounds = arguments.rounds.unwrap_or(settings.rounds);
    super::replace(&mut settings.contenders, arguments.contenders);
    super::replace(&mut settings.events, arguments.events);
    let bar = progress::bar("churn", settings.steps());
    let tables = measure(&settings, &|name| progress::step(&bar, name))?;
    bar.finish_and_clear();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}
