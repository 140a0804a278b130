//! `cargo xtask bench report`: the report of results that were measured before.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use fairlead_bench::report;
use fairlead_bench::results::read;

/// Writes report.html and report.md from a file of results.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The results.
    file: PathBuf,
    /// Where the report is written; beside the results by default.
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

/// Writes the report.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let beside = || arguments.file.parent().map(Path::to_path_buf).unwrap_or_default();
    let directory = arguments.output.clone().unwrap_or_else(beside);
    for path in report::write(&directory, &read(&arguments.file)?)? {
        println!("{}", path.display());
    }
    Ok(())
}
