//! Makes the files of `deploy/`; `cargo xtask` calls it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fairlead_deploy::{crds, image, manifests, output};

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
    /// Plain manifests, from the chart
    Manifests {
        /// The Helm that renders it
        helm: PathBuf,
    },
    /// The image, of a static program
    Image {
        /// The program
        program: PathBuf,
        /// The archive to write
        archive: PathBuf,
    },
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
        Verb::Manifests { helm } => manifests::files(helm)?,
        Verb::Image { program, archive } => return image::make(program, archive),
    };
    for path in output::write(&files, output::root())? {
        println!("{}", path.display());
    }
    Ok(())
}
