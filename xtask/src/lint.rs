//! The checks that run no test: format, lints, documentation, spelling, dependencies, scripts and workflows.

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::setup::bpf_core::BpfCore;
use crate::setup::{self, Part, actionlint, cargo_tool};
use crate::{book, ebpf, machine, process, table};

/// Shell scripts of the project.
const SCRIPTS: [&str; 5] = [
    ".ci/run",
    "bench/cluster/common.sh",
    "bench/cluster/failover.sh",
    "bench/cluster/latency.sh",
    "bench/cluster/load.sh",
];

type Step = (&'static str, fn(bool) -> Result<()>);

/// All steps, the quick ones first.
const STEPS: [Step; 9] = [
    ("format", |_| format()),
    ("spelling", |_| spelling()),
    ("clippy", |_| clippy()),
    ("clippy for BPF", |_| clippy_for_bpf()),
    ("documentation", |_| documentation()),
    ("book", |_| book::build()),
    ("dependencies", dependencies),
    ("scripts", |_| scripts()),
    ("workflows", |_| workflows()),
];

/// Runs all steps, even if one fails, and prints a table of their results.
pub(crate) fn run(advisories: bool) -> Result<ExitCode> {
    setup::ensure(&[
        Part::Components,
        Part::BpfCore,
        Part::BpfLinker,
        Part::CargoDeny,
        Part::Typos,
        Part::MdBook,
    ])?;
    let mut code = ExitCode::SUCCESS;
    let rows = STEPS.map(|(name, step)| {
        println!("\n=== {name} ===");
        let start = Instant::now();
        let result = step(advisories);
        let state = if result.is_ok() { "ok" } else { "FAILED" };
        if let Err(error) = result {
            eprintln!("xtask: {error:#}");
            code = ExitCode::FAILURE;
        }
        vec![name.to_owned(), state.to_owned(), process::elapsed(start.elapsed())]
    });
    println!();
    table::print(&rows, &[2]);
    Ok(code)
}

/// Checks that the code is formatted.
pub(crate) fn format() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

/// `typos.toml` says which words are right all the same.
fn spelling() -> Result<()> {
    let mut typos = process::command(cargo_tool::TYPOS.binary()?);
    process::run(typos.args(["--hidden", "--exclude", ".git", "--format", "brief"]))
}

fn clippy() -> Result<()> {
    // Without a package named, cargo takes the default members.
    process::run(process::cargo().args(["clippy", "--all-targets", "--", "--deny", "warnings"]))
}

fn clippy_for_bpf() -> Result<()> {
    if BpfCore::select()? == BpfCore::Distribution {
        println!(
            "skipped: clippy needs the sources of core; only the distribution's compiled one is installed"
        );
        return Ok(());
    }
    process::run(ebpf::cargo("clippy")?.args(["--", "--deny", "warnings"]))
}

fn documentation() -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["doc", "--no-deps", "--workspace", "--exclude", "lb-ebpf"]);
    process::run(cargo.env("RUSTDOCFLAGS", "--deny warnings"))
}

fn dependencies(advisories: bool) -> Result<()> {
    let mut deny = process::command(cargo_tool::DENY.binary()?);
    deny.args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]);
    if advisories {
        deny.arg("advisories");
    }
    process::run(&mut deny)
}

fn scripts() -> Result<()> {
    let Some(shellcheck) = machine::program("shellcheck") else {
        println!("skipped: shellcheck is not installed");
        return Ok(());
    };
    process::run(process::command(shellcheck).arg("--external-sources").args(SCRIPTS))
}

/// A hosted runner has to check its workflows; elsewhere `cargo xtask setup` installs what it takes, if it
/// can.
fn workflows() -> Result<()> {
    if env::var_os("GITHUB_ACTIONS").is_some() {
        setup::ensure(&[Part::Actionlint])?;
    }
    let program = actionlint::binary()?;
    if !program.exists() {
        println!(
            "skipped: actionlint is not installed; `cargo xtask setup` installs it where its releases can be reached"
        );
        return Ok(());
    }
    process::run(&mut process::command(program))
}
