//! Fuzzing: of parsers, guided by coverage, whose targets are a workspace of their own in `fuzz/`; and of
//! objects, guided by the schemas of their kinds, which is a test of `lb-admission` that runs for longer.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::setup::{self, Part, cargo_tool};
use crate::{process, workspace};

/// The targets guided by coverage, in the order in which they run.
const TARGETS: [&str; 3] = ["bgp_message", "bgp_differential", "bfd_session"];

/// The target guided by schemas.
const OBJECTS: &str = "objects";

/// Bytes of an input, at most: a BGP message without extensions.
const LONGEST: u32 = 4096;

/// Fuzzes one target, or all of them one after the other, each for this time.
///
/// The fuzzer starts from the inputs in `fuzz/corpus` and writes new ones to the build directory; `cargo fuzz
/// cmin` copies those worth keeping.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<ExitCode> {
    let is_asked_for = |name: &str| target.is_none_or(|it| it == name);
    let targets: Vec<&str> = TARGETS.into_iter().filter(|name| is_asked_for(name)).collect();
    ensure!(
        !targets.is_empty() || is_asked_for(OBJECTS),
        "unknown target; known are {OBJECTS}, {}",
        TARGETS.join(", ")
    );
    if is_asked_for(OBJECTS) {
        process::run(&mut objects(seconds))?;
    }
    if !targets.is_empty() {
        setup::ensure(&[Part::CargoFuzz])?;
    }
    for name in targets {
        let found = workspace::root().join("fuzz/target/corpus").join(name);
        fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
        process::run(&mut fuzzer(name, &found, seconds)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Each run has a seed of its own, which a failure prints.
fn objects(seconds: u32) -> Command {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut test = process::cargo();
    test.args(["test", "--release", "--package", "lb-admission", "--test", "agreement", "--", "--nocapture"]);
    test.env("FAIRLEAD_FUZZ_SECONDS", seconds.to_string()).env("FAIRLEAD_FUZZ_SEED", seed.to_string());
    test
}

fn fuzzer(target: &str, found: &Path, seconds: u32) -> Result<Command> {
    let mut fuzz = process::command(cargo_tool::FUZZ.binary()?);
    // The instrumentation is unstable; a fuzzer's findings do not depend on it.
    fuzz.env("RUSTC_BOOTSTRAP", "1").args(["run", target]).arg(found);
    fuzz.arg(workspace::root().join("fuzz/corpus").join(target));
    fuzz.args(["--", "-print_final_stats=1"]);
    fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LONGEST}"));
    Ok(fuzz)
}
