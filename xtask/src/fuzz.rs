//! Coverage-guided fuzzing. The targets are a workspace of their own, in `fuzz/`.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::setup::{self, Part, cargo_tool};
use crate::{process, workspace};

/// All targets, in the order in which they run.
const TARGETS: [&str; 3] = ["bgp_message", "bgp_differential", "bfd_session"];

/// Octets of an input, at most: a message of BGP without extensions.
const LONGEST: u32 = 4096;

/// Fuzzes one target, or all of them one after the other, each for so long. It starts from the inputs that are kept in
/// `fuzz/corpus`, and what it finds beside them goes to the build directory: `cargo fuzz cmin` brings home what is
/// worth keeping.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<ExitCode> {
    setup::ensure(&[Part::CargoFuzz])?;
    let targets: Vec<&str> = TARGETS.into_iter().filter(|&name| target.is_none_or(|it| it == name)).collect();
    ensure!(!targets.is_empty(), "there is no such target; there are {}", TARGETS.join(", "));
    for name in targets {
        let found = workspace::root().join("fuzz/target/corpus").join(name);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        process::run(&mut fuzzer(name, &found, seconds)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn fuzzer(target: &str, found: &Path, seconds: u32) -> Result<Command> {
    let mut fuzz = process::command(cargo_tool::FUZZ.binary()?);
    // The instrumentation is not stable yet, and is nothing that a fuzzer's finding depends on.
    fuzz.env("RUSTC_BOOTSTRAP", "1").args(["run", target]).arg(found);
    fuzz.arg(workspace::root().join("fuzz/corpus").join(target));
    fuzz.args(["--", "-print_final_stats=1"]);
    fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LONGEST}"));
    Ok(fuzz)
}
