//! `cargo xtask bench scale`: full passes of the control plane, by the size of the cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use fairlead_bench::control_plane::scale::{self, ScaleSettings};
use fairlead_bench::results::{self, RunStart};

use super::progress::MeasurementProgress;

/// Measures an agent's first pass at 100, 1,000 and 10,000 Services and at 10, 100 and 1,000 nodes: model,
/// plan, rings, map writes, routes, UPDATE messages, memory. Fits how each grows, and fails if one grows
/// faster than its limit.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Rounds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A short run, which checks no limit.
    #[arg(long)]
    quick: bool,
    /// Also write the results to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// The measured process (internal).
    #[command(hide = true)]
    Sample { services: u32, nodes: u32 },
}

/// Runs the measurement.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(Role::Sample { services, nodes }) = arguments.role {
        println!("{}", serde_json::to_string(&scale::sample(services, nodes)?)?);
        return Ok(ExitCode::SUCCESS);
    }
    let settings = if arguments.quick {
        ScaleSettings {
            rounds: 1,
            services: vec![100, 1_000, 10_000],
            nodes_of_services: 100,
            nodes: vec![10, 100],
            services_of_nodes: 1_000,
        }
    } else {
        ScaleSettings {
            rounds: arguments.rounds,
            services: vec![100, 1_000, 10_000],
            nodes_of_services: 100,
            nodes: vec![10, 100, 1_000],
            services_of_nodes: 1_000,
        }
    };
    let start = RunStart::now()?;
    let progress = MeasurementProgress::new()?;
    let tables = scale::measure(&settings, |share, what| progress.show(share, what))?;
    progress.end();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}
