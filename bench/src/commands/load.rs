//! `cargo xtask bench load`: throughput, requests, and what a request costs, through each set-up.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use fairlead_bench::load::{self, LoadSettings};
use fairlead_bench::packet::progress;
use fairlead_bench::results::{self, RunStart};

/// Measures throughput and HTTP requests in labs of all set-ups, in turns.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Rounds, in each of which every path is measured once
    #[arg(long)]
    rounds: Option<usize>,
    /// A short run, whose goals are not checked
    #[arg(long)]
    quick: bool,
    /// Also write the figures here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let start = RunStart::now()?;
    let mut settings = if arguments.quick { LoadSettings::QUICK } else { LoadSettings::FULL };
    settings.rounds = arguments.rounds.unwrap_or(settings.rounds);
    let bar = progress::bar("load", settings.steps());
    let tables = load::measure(settings, &bar)?;
    bar.finish_and_clear();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}
