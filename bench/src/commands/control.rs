//! `cargo xtask bench control`: the cost of one change.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use fairlead_bench::control_plane::control::{self, ControlSettings};
use fairlead_bench::kubernetes::{observe, source};
use fairlead_bench::results::{self, RunStart};

use super::progress::MeasurementProgress;

/// Measures what one change costs an agent with 100, 1,000 and 10,000 Services, how soon it notices one at an
/// API server, and what a scrape takes. Fits how each grows, and fails if one exceeds its limit.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Nodes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=1000))]
    nodes: u32,
    /// Changes of each kind in a round.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=90))]
    changes: u32,
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
    Sample { services: u32, nodes: u32, changes: u32 },
    /// The measured process on an API server or on files (internal).
    #[command(hide = true)]
    Observe {
        #[arg(long)]
        directory: Option<PathBuf>,
        #[arg(long)]
        kubeconfig: Option<PathBuf>,
    },
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.role {
        Some(Role::Sample { services, nodes, changes }) => {
            println!("{}", serde_json::to_string(&control::sample(services, nodes, changes)?)?);
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Observe { directory, kubeconfig }) => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(observe(&source(directory, kubeconfig)))?;
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let settings = ControlSettings {
        rounds: if arguments.quick { 1 } else { arguments.rounds },
        services: if arguments.quick { vec![100, 1_000] } else { vec![100, 1_000, 10_000] },
        nodes: arguments.nodes,
        changes: if arguments.quick { 5 } else { arguments.changes },
        scrape: !arguments.quick,
    };
    let start = RunStart::now()?;
    let progress = MeasurementProgress::new()?;
    let tables = control::measure(&settings, |share, what| progress.show(share, what))?;
    progress.end();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}
