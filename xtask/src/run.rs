//! Programs of the workspace that need a fresh XDP program.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::setup::Part;
use crate::{ebpf, machine, process, setup, workspace};

/// Builds everything and runs the demo.
///
/// Returns the demo's exit code.
pub(crate) fn demo(args: &[String]) -> Result<ExitCode> {
    ensure!(
        machine::is_root(),
        "the demo creates network namespaces and loads an XDP program: run it as root"
    );
    setup::ensure(&[Part::BpfCore, Part::BpfLinker, Part::Lab, Part::Routers])?;
    ebpf::build()?;
    process::run(process::cargo().args(["build", "--release"]).args([
        "--package",
        "lb-agent",
        "--package",
        "fairlead-tests",
        "--bin",
        "fairlead",
        "--bin",
        "demo",
    ]))?;
    let mut demo = process::command(workspace::release("demo"));
    Ok(ExitCode::from(process::code(demo.args(args).env("FAIRLEAD_BIN", workspace::release("fairlead")))?))
}

/// Runs one measurement of the bench crate.
///
/// Returns its exit code.
pub(crate) fn bench(subject: &str, args: &[String]) -> Result<ExitCode> {
    setup::ensure(&[Part::BpfCore, Part::BpfLinker])?;
    ebpf::build()?;
    let mut bench = process::cargo();
    bench.args(["run", "--release", "--package", "fairlead-bench", "--", subject]).args(args);
    Ok(ExitCode::from(process::code(&mut bench)?))
}

/// Runs the measurement of a scrape by a release build of the agent in the lab.
///
/// Returns its exit code.
pub(crate) fn bench_scrape() -> Result<ExitCode> {
    ensure!(machine::is_root(), "the lab creates network namespaces: run it as root");
    setup::ensure(&[Part::Lab])?;
    ebpf::build()?;
    ebpf::build_agent()?;
    bench("scrape", &[])
}

/// Draws the dashboard from the metrics of a lab.
///
/// Returns its exit code.
pub(crate) fn dashboard(args: &[String]) -> Result<ExitCode> {
    ensure!(machine::is_root(), "the lab creates network namespaces: run it as root");
    setup::ensure(&[Part::BpfCore, Part::BpfLinker, Part::Lab, Part::Routers, Part::Prometheus])?;
    ebpf::build()?;
    ebpf::build_agent()?;
    let picture = workspace::root().join("docs/dashboard.svg").display().to_string();
    bench("dashboard", &[&[picture], args].concat())
}

/// Runs the failover measurement, which needs the lab and its routers.
///
/// Returns its exit code.
pub(crate) fn bench_failover(args: &[String]) -> Result<ExitCode> {
    ensure!(machine::is_root(), "the lab creates network namespaces: run it as root");
    setup::ensure(&[Part::Lab, Part::Routers])?;
    bench("failover", args)
}
