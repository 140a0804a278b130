//! The developer's one entry: `cargo xtask VERB`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`setup`] | what a verb needs on this machine, and how it gets there |
//! | [`ebpf`] | the XDP program: build it, check it |
//! | [`deploy`] | files of `deploy/` that are made |
//! | [`lanes`] | the tests, cheap to dear |
//! | [`tidy`] | the rules of the tree that no compiler knows |
//! | [`fuzz`] | fuzz targets |
//! | [`lint`] | everything that is judged without running it |
//! | [`run`] | programs of the workspace that run on the fresh object |
//! | [`process`], [`workspace`], [`machine`] | child processes; places; the system underneath |

mod deploy;
mod ebpf;
mod fuzz;
mod lanes;
mod lint;
mod machine;
mod process;
mod run;
mod setup;
mod table;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::lanes::{Lane, kernels};

/// Builds, tests and measures Fairlead.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Invocation {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check what the other verbs need, and install what is missing
    Setup,
    /// Build the XDP program and the agent around it; list programs and maps
    BuildEbpf,
    /// Build everything and show the demo (as root)
    Demo {
        /// Arguments of the demo
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the tests; without a lane, all of them
    Test {
        /// Lanes, run from cheap to dear
        lanes: Vec<Lane>,
        #[command(flatten)]
        guests: kernels::Options,
        /// Passed on to the test runner: a filter, --nocapture, …
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Judge the code without running it: format, clippy, documentation, dependencies
    Lint {
        /// Also check the dependencies against the advisory database, which needs the network
        #[arg(long)]
        advisories: bool,
    },
    /// Make the definitions of the kinds, from the types that read them
    Crds,
    /// Make plain manifests, from the chart
    Manifests,
    /// Build a static program, and the image of it as an OCI archive
    Image,
    /// Feed parsers with what a fuzzer makes up
    Fuzz {
        /// One target instead of all
        target: Option<String>,
        /// Seconds for each target
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// Measure
    Bench {
        #[command(subcommand)]
        subject: Subject,
    },
}

#[derive(Subcommand)]
enum Subject {
    /// The cost of a packet in the XDP program
    Packet {
        /// Arguments of the measurement
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Broken connections of a simulated cluster, beside other schemes
    Simulate {
        /// Arguments of the simulation
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Balance of rings, and time and memory of a plan
    Plan,
    /// Time and memory that a large cluster costs an agent
    Kubernetes {
        /// Arguments of the measurement
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// How long routers go on sending to a load balancer that is dead (as root)
    Failover {
        /// Arguments of the measurement
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    perform(Invocation::parse().verb).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn perform(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Setup => setup::report(),
        Verb::BuildEbpf => ebpf::build_and_examine(),
        Verb::Demo { args } => run::demo(&args),
        Verb::Test { lanes, guests, args } => lanes::run(&lanes, &guests, &args),
        Verb::Lint { advisories } => lint::run(advisories),
        Verb::Crds => deploy::crds(),
        Verb::Manifests => deploy::manifests(),
        Verb::Image => deploy::image(),
        Verb::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Verb::Bench { subject: Subject::Packet { args } } => run::bench("packet", &args),
        Verb::Bench { subject: Subject::Simulate { args } } => run::bench("simulate", &args),
        Verb::Bench { subject: Subject::Plan } => run::bench_plan(),
        Verb::Bench { subject: Subject::Kubernetes { args } } => run::bench("kubernetes", &args),
        Verb::Bench { subject: Subject::Failover { args } } => run::bench_failover(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Invocation;

    #[test]
    fn the_command_line_is_consistent() {
        Invocation::command().debug_assert();
    }
}
