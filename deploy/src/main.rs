//! Makes the files of `deploy/`; `cargo xtask` calls it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fairlead_deploy::{crds, output};

/// Makes what a cluster needs to run Fairlead.
#[derive(Parser)]
#[command(disable_help_subcommand = true)]
struct Invocation {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The definitions of the kinds
    Crds,
}

fn main() -> ExitCode {
    match perform(&Invocation::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fairlead-deploy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(verb: &Verb) -> Result<()> {
    let files = match verb {
        Verb::Crds => crds::files()?,
    };
    for path in output::write(&files, output::root())? {
        println!("{}", path.display());
    }
    Ok(())
}
