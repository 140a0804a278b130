//! The generated files of `deploy/`. Tests of `fairlead-deploy` fail when a committed file differs.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::setup::{self, Part, kube_clients, musl};
use crate::{ebpf, process, workspace};

/// Generates the definitions of the kinds.
pub(crate) fn crds() -> Result<ExitCode> {
    generate("crds")
}

/// Generates the plain manifests.
pub(crate) fn manifests() -> Result<ExitCode> {
    setup::ensure(&[Part::KubeClients])?;
    let helm = kube_clients::directory()?.join("helm");
    Ok(ExitCode::from(process::code(cargo_run().arg("manifests").arg(helm))?))
}

/// Builds the image, of a program that needs only a kernel.
pub(crate) fn image() -> Result<ExitCode> {
    setup::ensure(&[Part::BpfCore, Part::BpfLinker, Part::StaticTarget])?;
    ebpf::build()?;
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--package", "lb-agent", "--bin", "fairlead"]);
    process::run(musl::environment(&mut cargo).args(["--target", musl::TARGET]))?;
    let built = workspace::target().join(musl::TARGET).join("release/fairlead");
    let program = workspace::target().join("image/fairlead");
    std::fs::create_dir_all(workspace::target().join("image"))?;
    // Names of functions stay, for backtraces; line tables are removed.
    process::run(process::command("strip").arg("--strip-debug").arg("-o").arg(&program).arg(&built))?;
    let archive = workspace::target().join("image/fairlead.tar");
    let mut cargo = cargo_run();
    Ok(ExitCode::from(process::code(cargo.arg("image").arg(&program).arg(&archive))?))
}

fn generate(what: &str) -> Result<ExitCode> {
    Ok(ExitCode::from(process::code(cargo_run().arg(what))?))
}

fn cargo_run() -> Command {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "fairlead-deploy", "--"]);
    cargo
}
