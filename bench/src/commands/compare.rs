//! `cargo xtask bench compare`: whether two runs agree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use fairlead_bench::compare::compare;
use fairlead_bench::results::{Results, claims, read};

/// Compares every ratio and every goal of two runs. They agree where their spreads overlap; fails if one does
/// not, or if README claims what one of the runs does not show.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Results of the first run.
    a: PathBuf,
    /// Results of the second run.
    b: PathBuf,
}

/// Runs the comparison.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runs = [("A", &arguments.a), ("B", &arguments.b)];
    let [a, b] = [read(&arguments.a)?, read(&arguments.b)?];
    for ((name, path), results) in runs.into_iter().zip([&a, &b]) {
        println!("{name}: {}: {}", path.display(), words(results));
    }
    println!();
    let comparison = compare(&a, &b);
    print!("{}", comparison.text());
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&readme).with_context(|| format!("read {}", readme.display()))?;
    let mut is_borne_out = true;
    for (name, results) in [("A", &a), ("B", &b)] {
        for claim in claims::refuted(&readme, results) {
            println!("{name} does not show what README claims: {claim}");
            is_borne_out = false;
        }
    }
    Ok(if comparison.is_agreement() && is_borne_out { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn words(results: &Results) -> String {
    let length = if results.is_quick { "quick run" } else { "full run" };
    let commit = results.machine.commit.get(..12).unwrap_or(&results.machine.commit);
    let modified = if results.machine.is_modified { " (modified)" } else { "" };
    format!(
        "{length} of {}, commit {commit}{modified}, load {}",
        results.started,
        results.machine.load_before()
    )
}
