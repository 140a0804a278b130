//! The generated files of `deploy/`. Tests of `fairlead-deploy` fail when a committed file differs.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::architecture::Architecture;
use crate::setup::{self, Part, kube_clients};
use crate::{ebpf, machine, process, workspace};

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

/// Builds an image of programs that need only a kernel, one for each architecture.
pub(crate) fn image(architectures: &[Architecture]) -> Result<ExitCode> {
    let mut parts = vec![Part::BpfCore, Part::BpfLinker];
    for architecture in architectures {
        parts.push(if *architecture == Architecture::NATIVE {
            Part::StaticTarget
        } else {
            Part::ForeignTarget
        });
    }
    setup::ensure(&parts)?;
    ebpf::build()?;
    let mut cargo = cargo_run();
    cargo.arg("image").arg(workspace::target().join("image/fairlead.tar"));
    for architecture in architectures {
        cargo.arg("--program").arg(static_program(*architecture)?);
        if let Some(emulator) = architecture.tools().emulator {
            let path = machine::program(emulator).with_context(|| format!("no {emulator}"))?;
            cargo.arg("--emulator").arg(format!("{}={}", architecture.in_image(), path.display()));
        }
    }
    Ok(ExitCode::from(process::code(&mut cargo)?))
}

/// Builds the static program, and returns it with the name of its architecture in front.
fn static_program(architecture: Architecture) -> Result<String> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--package", "lb-agent", "--bin", "fairlead"]);
    process::run(architecture.set(&mut cargo))?;
    let built = workspace::target().join(architecture.target()).join("release/fairlead");
    let directory = workspace::target().join("image").join(architecture.in_image());
    std::fs::create_dir_all(&directory)?;
    let program = directory.join("fairlead");
    // Names of functions stay, for backtraces; line tables are removed.
    let mut strip = process::command(architecture.tools().strip);
    process::run(strip.arg("--strip-debug").arg("-o").arg(&program).arg(&built))?;
    Ok(format!("{}={}", architecture.in_image(), program.display()))
}

fn generate(what: &str) -> Result<ExitCode> {
    Ok(ExitCode::from(process::code(cargo_run().arg(what))?))
}

fn cargo_run() -> Command {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "fairlead-deploy", "--"]);
    cargo
}
