//! Everything that is judged without running it.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::setup::bpf_core::BpfCore;
use crate::setup::{self, Part, cargo_tool};
use crate::{ebpf, machine, process, table};

/// Shell scripts of the project.
const SCRIPTS: [&str; 1] = [".ci/run"];

type Step = (&'static str, fn(bool) -> Result<()>);

/// In the order in which they fail fast.
const STEPS: [Step; 6] = [
    ("format", |_| format()),
    ("clippy", |_| clippy()),
    ("clippy for BPF", |_| clippy_for_bpf()),
    ("documentation", |_| documentation()),
    ("dependencies", dependencies),
    ("scripts", |_| scripts()),
];

/// Takes all steps, even if one fails, and prints what became of them.
pub(crate) fn run(advisories: bool) -> Result<ExitCode> {
    setup::ensure(&[Part::Components, Part::BpfCore, Part::BpfLinker, Part::CargoDeny])?;
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

/// That the code is formatted.
pub(crate) fn format() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    // Without a package named, cargo takes the default members.
    process::run(process::cargo().args(["clippy", "--all-targets", "--", "--deny", "warnings"]))
}

fn clippy_for_bpf() -> Result<()> {
    if BpfCore::select()? == BpfCore::Distribution {
        println!(
            "skipped: clippy needs the sources of core, and here is only the distribution's compiled one"
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
        println!("skipped: there is no shellcheck here");
        return Ok(());
    };
    process::run(process::command(shellcheck).args(SCRIPTS))
}
