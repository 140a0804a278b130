//! `cargo xtask bench latency`: what clients wait for, through each set-up and without any.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use fairlead_bench::latency::{self, LatencySettings};
use fairlead_bench::progress;
use fairlead_bench::results::{self, RunStart};

/// Measures HTTP, connects and TCP round trips in labs of all set-ups, in turns.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    rounds: super::RoundArguments,
}

/// Runs the measurement.
pub(crate) fn run(Arguments { rounds: arguments }: Arguments) -> Result<ExitCode> {
    let start = RunStart::now()?;
    let mut settings = if arguments.quick { LatencySettings::QUICK } else { LatencySettings::FULL };
    settings.rounds = arguments.rounds.unwrap_or(settings.rounds);
    let bar = progress::bar("latency", settings.steps());
    let tables = latency::measure(settings, &bar)?;
    bar.finish_and_clear();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}
