//! The generator of the files of `deploy/`, called by `cargo xtask`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fairlead_deploy::image::ImageFile;
use fairlead_deploy::{crds, image, manifests, monitoring, output};

/// Generates the files that a cluster needs to run Fairlead.
#[derive(Parser)]
#[command(disable_help_subcommand = true)]
struct Invocation {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Generate the definitions of the kinds
    Crds,
    /// Generate plain manifests from the chart, rules and dashboard
    Manifests {
        /// Path of Helm, which renders the chart
        helm: PathBuf,
    },
    /// Build the image of a static program, for one or more architectures
    Image {
        /// The archive to write
        archive: PathBuf,
        /// A program behind its architecture's name in Go: amd64=PATH
        #[arg(long = "program", required = true, value_name = "ARCHITECTURE=PATH")]
        programs: Vec<ImageFile>,
        /// A static emulator that tries the program of an architecture: arm64=PATH
        #[arg(long = "emulator", value_name = "ARCHITECTURE=PATH")]
        emulators: Vec<ImageFile>,
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
        Verb::Manifests { helm } => {
            let mut files = manifests::files(helm)?;
            files.extend(monitoring::files(helm)?);
            files
        }
        Verb::Image { archive, programs, emulators } => return image::build(programs, emulators, archive),
    };
    for path in output::write(&files, output::root())? {
        println!("{}", path.display());
    }
    Ok(())
}
