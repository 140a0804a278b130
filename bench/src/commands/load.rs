//! `cargo xtask bench load`: throughput, requests, and what a request costs, through each set-up.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use fairlead_bench::load::{self, LoadSettings};
use fairlead_bench::progress;
use fairlead_bench::results::{self, RunStart};

/// Measures throughput and HTTP requests in labs of all set-ups, in turns.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    rounds: super::RoundArguments,
}

/// Runs the measurement.
pub(crate) fn run(Arguments { rounds: arguments }: Arguments) -> Result<ExitCode> {
    let start = RunStart::now()?;
    let mut settings = if arguments.quick { LoadSettings::QUICK } else { LoadSettings::FULL };
    settings.rounds = arguments.rounds.unwrap_or(settings.rounds);
    let bar = progress::bar("load", settings.steps());
    let tables = load::measure(settings, &bar)?;
    bar.finish_and_clear();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}
