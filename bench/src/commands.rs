//! The commands of the binary: arguments, progress, output.

pub(crate) mod churn;
pub(crate) mod compare;
pub(crate) mod control;
pub(crate) mod dashboard;
pub(crate) mod failover;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod packet;
mod progress;
pub(crate) mod report;
pub(crate) mod routers;
pub(crate) mod scale;
pub(crate) mod simulate;
pub(crate) mod whole;

use std::path::PathBuf;

use clap::Args;

/// Replaces a default by what was named, if anything was.
fn replace<T>(default: &mut Vec<T>, named: Vec<T>) {
    if !named.is_empty() {
        *default = named;
    }
}

/// The options of a measurement that only has rounds.
#[derive(Args)]
pub(crate) struct RoundArguments {
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
