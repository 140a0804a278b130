//! The developers' command: `cargo xtask VERB`.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`setup`] | the parts that verbs need on this machine, and their installation |
//! | [`ebpf`] | build and check of the XDP program |
//! | [`deploy`] | generated files of `deploy/` |
//! | [`book`] | the pages of `docs/` as a book, and the generated ones among them |
//! | [`lanes`] | the tests, cheapest first |
//! | [`tidy`] | the rules of the tree that no compiler checks |
//! | [`fuzz`] | fuzz targets |
//! | [`lint`] | the checks that run no test |
//! | [`mod@bench`] | the measurements, and what each needs |
//! | [`run`] | programs of the workspace that need a fresh XDP program |
//! | [`process`], [`workspace`], [`machine`] | child processes; paths; the operating system |

mod architecture;
mod bench;
mod book;
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

use crate::architecture::Architecture;
use crate::ebpf::Variant;
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
    /// Build the XDP program and the agent around it; list its programs and maps
    BuildEbpf {
        /// Build only the XDP program of this variant, for tests of upgrades
        variant: Option<Variant>,
    },
    /// Build everything and run the demo (as root)
    Demo {
        /// Arguments of the demo
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the tests; without a lane, all of them
    Test {
        /// Lanes, run from the cheapest to the most expensive
        lanes: Vec<Lane>,
        #[command(flatten)]
        guests: kernels::Options,
        /// Arguments of the test runner (a filter, --nocapture), or groups of tidy's rules (words, layers, …)
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Check format, lints, documentation, spelling, dependencies, scripts and workflows
    Lint {
        /// Also check the dependencies against the advisory database, which needs the network
        #[arg(long)]
        advisories: bool,
    },
    /// Generate the definitions of the kinds from the types that read them
    Crds,
    /// Generate the plain manifests, the rules and the dashboard from the chart
    Manifests,
    /// Draw the dashboard from the metrics of a lab in which a node fails, to docs/dashboard.svg (as root)
    Dashboard {
        /// Arguments of the drawing
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Generate the reference pages of docs/ from the code
    Reference,
    /// Build the pages of docs/ as a book, in target/book
    Book,
    /// Build a static program, and an OCI image of it as an archive
    Image {
        /// An architecture instead of this machine's; with several, the image has an index of them
        #[arg(long = "arch", value_name = "ARCHITECTURE", default_values_t = [Architecture::NATIVE])]
        architectures: Vec<Architecture>,
    },
    /// Feed random input to the parsers and to the validation of objects
    Fuzz {
        /// One target instead of all
        target: Option<String>,
        /// Seconds for each target
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// Run the measurements: all of them with a report, or one by its name; `bench help` names them
    #[command(disable_help_flag = true)]
    Bench {
        /// Subject and arguments, as the bench program takes them
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
        Verb::BuildEbpf { variant: None } => ebpf::build_and_examine(),
        Verb::BuildEbpf { variant: Some(variant) } => variant.build(),
        Verb::Demo { args } => run::demo(&args),
        Verb::Test { lanes, guests, args } => lanes::run(&lanes, &guests, &args),
        Verb::Lint { advisories } => lint::run(advisories),
        Verb::Crds => deploy::crds(),
        Verb::Manifests => deploy::manifests(),
        Verb::Dashboard { args } => run::dashboard(&args),
        Verb::Reference => tidy::write_reference().and_then(|()| book::reference()),
        Verb::Book => book::build().map(|()| ExitCode::SUCCESS),
        Verb::Image { architectures } => deploy::image(&architectures),
        Verb::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Verb::Bench { args } => bench::run(&args),
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
