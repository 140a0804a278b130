//! Programs of the workspace that need a fresh XDP program.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::setup::Part;
use crate::{bench, ebpf, machine, process, setup, workspace};

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

/// Draws the dashboard from the metrics of a lab.
///
/// Returns its exit code.
pub(crate) fn dashboard(args: &[String]) -> Result<ExitCode> {
    ensure!(machine::is_root(), "the lab creates network namespaces: run it as root");
    setup::ensure(&[Part::BpfCore, Part::BpfLinker, Part::Lab, Part::Routers, Part::Prometheus])?;
    ebpf::build()?;
    ebpf::build_agent()?;
    let picture = workspace::root().join("docs/dashboard.svg").display().to_string();
    bench::program(&[&["dashboard".to_owned(), picture], args].concat())
}
