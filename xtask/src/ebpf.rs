//! Build and examination of the XDP program.

mod btf;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::setup::bpf_core::BpfCore;
use crate::setup::{self, Part, linker};
use crate::{process, workspace};

/// Little-endian BPF: all supported machines are little-endian.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Flags of the compiler and, behind `link-arg`, of bpf-linker.
const FLAGS: [&str; 4] = [
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    // Compare-exchange, and fetch-and-add with a result.
    "-Ctarget-cpu=v3",
    // Packets have no alignment; without this, every field is loaded byte by byte. LLVM 22 is the first with
    // it.
    "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
];

/// The separator of flags in `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: &str = "\x1f";

/// Builds the object where the agent's build script embeds it from.
pub(crate) fn build() -> Result<()> {
    process::run(cargo("build")?.arg("--release"))?;
    btf::complete(&object())
}

/// Returns the path of the built object.
pub(crate) fn object() -> PathBuf {
    workspace::bpf_target().join(TARGET).join("release/fairlead-xdp")
}

/// Builds the agent around the object.
pub(crate) fn build_agent() -> Result<()> {
    process::run(process::cargo().args(["build", "--release", "--package", "lb-agent", "--bin", "fairlead"]))
}

/// Builds the object and the agent, and has the agent list the object's programs and maps.
pub(crate) fn build_and_examine() -> Result<ExitCode> {
    setup::ensure(&[Part::BpfCore, Part::BpfLinker])?;
    build()?;
    build_agent()?;
    let mut doctor = process::command(workspace::release("fairlead"));
    Ok(ExitCode::from(process::code(doctor.args(["doctor", "--object"]))?))
}

/// Returns a cargo that works on `lb-ebpf` for the BPF target.
pub(crate) fn cargo(verb: &str) -> Result<Command> {
    let core = BpfCore::select()?;
    let mut cargo = match core {
        BpfCore::Source => process::cargo(),
        BpfCore::Distribution => process::command("/usr/bin/cargo"),
    };
    cargo
        .arg(verb)
        .args(["--package", "lb-ebpf", "--target", TARGET, "--target-dir"])
        .arg(workspace::bpf_target());
    match core {
        // The target has no precompiled core; the variable below lets a stable compiler build one.
        BpfCore::Source => cargo.args(["-Z", "build-std=core"]),
        BpfCore::Distribution => cargo.env("RUSTC", "/usr/bin/rustc"),
    };
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join(SEPARATOR));
    cargo.env("PATH", path_with_linker()?);
    Ok(cargo)
}

fn path_with_linker() -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(linker::directory()?.join("bin")).chain(env::split_paths(&path));
    Ok(env::join_paths(directories)?)
}
