//! `cargo xtask bench failover`: events as clients see them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use fairlead_bench::failover::{FailoverEvent, FailoverSettings, measure};
use fairlead_bench::progress;
use fairlead_bench::results::{self, RunStart};
use fairlead_tests::contenders::Contender;

/// Lets nodes fail, leave and join in labs with Fairlead and with what it is compared with, and measures from
/// a client for how long the Service was not served, and which requests and connections failed.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Rounds, each of one trial of each kind [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Set-ups [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// Events [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    events: Vec<FailoverEvent>,
    /// Do not measure a node failure with BGP's default hold time of 90 s.
    #[arg(long)]
    without_default_hold: bool,
    /// Microseconds from one probe to the next.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    probe_every: u64,
    /// Measure the failure of a node below three set-ups, once.
    #[arg(long)]
    quick: bool,
    /// Write the results to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let start = RunStart::now()?;
    let mut settings = FailoverSettings::new(arguments.quick);
    settings.rounds = arguments.rounds.unwrap_or(settings.rounds);
    super::replace(&mut settings.contenders, arguments.contenders);
    super::replace(&mut settings.events, arguments.events);
    settings.has_default_hold &= !arguments.without_default_hold;
    settings.probe_every = Duration::from_micros(arguments.probe_every);
    let bar = progress::bar("failover", settings.steps());
    let tables = measure(&settings, &|name| progress::step(&bar, name))?;
    bar.finish_and_clear();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}
