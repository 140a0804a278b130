//! Build and examination of the XDP program.

mod btf;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context, Result};
use clap::ValueEnum;

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

/// A build that tests of upgrades need beside the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// Another program with the same maps
    OtherProgram,
    /// The maps of a layout that exists for tests only
    NextLayout,
}

impl Variant {
    const ALL: [Self; 2] = [Self::OtherProgram, Self::NextLayout];

    /// The name of its feature of `lb-ebpf`.
    const fn feature(self) -> &'static str {
        match self {
            Self::OtherProgram => "other-program",
            Self::NextLayout => "next-layout",
        }
    }

    fn object(self) -> PathBuf {
        workspace::bpf_variant_target(self.feature()).join(OBJECT)
    }

    /// Builds its object.
    pub(crate) fn build(self) -> Result<ExitCode> {
        setup::ensure(&[Part::BpfCore, Part::BpfLinker])?;
        let target = workspace::bpf_variant_target(self.feature());
        process::run(cargo_into("build", target)?.args(["--release", "--features", self.feature()]))?;
        btf::complete(&self.object())?;
        println!("{}", self.object().display());
        Ok(ExitCode::SUCCESS)
    }

    /// Builds the agent around its object, and returns a copy of it.
    fn build_agent(self) -> Result<PathBuf> {
        self.build()?;
        let mut cargo = agent_cargo();
        if self == Self::NextLayout {
            cargo.args(["--features", self.feature()]);
        }
        process::run(cargo.env("FAIRLEAD_XDP_OBJECT", self.object()))?;
        let (from, to) =
            (workspace::release("fairlead"), workspace::target().join("upgrade").join(self.feature()));
        fs::create_dir_all(&to)?;
        let to = to.join("fairlead");
        fs::copy(&from, &to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        Ok(to)
    }
}

/// Builds the agent in all variants; returns for each the environment variable that names it, and its path.
pub(crate) fn build_variant_agents() -> Result<Vec<(String, PathBuf)>> {
    let variable = |variant: Variant| variant.feature().to_uppercase().replace('-', "_");
    let build =
        |variant: Variant| Ok((format!("FAIRLEAD_BIN_{}", variable(variant)), variant.build_agent()?));
    Variant::ALL.into_iter().map(build).collect()
}

/// The object below the target directory.
const OBJECT: &str = "bpfel-unknown-none/release/fairlead-xdp";

/// Builds the object where the agent's build script embeds it from.
pub(crate) fn build() -> Result<()> {
    process::run(cargo("build")?.arg("--release"))?;
    btf::complete(&object())
}

/// Returns the path of the built object.
pub(crate) fn object() -> PathBuf {
    workspace::bpf_target().join(OBJECT)
}

/// Builds the agent around the object.
pub(crate) fn build_agent() -> Result<()> {
    process::run(&mut agent_cargo())
}

fn agent_cargo() -> Command {
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--package", "lb-agent", "--bin", "fairlead"]);
    cargo
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
    cargo_into(verb, workspace::bpf_target())
}

fn cargo_into(verb: &str, target: PathBuf) -> Result<Command> {
    let core = BpfCore::select()?;
    let mut cargo = match core {
        BpfCore::Source => process::cargo(),
        BpfCore::Distribution => process::command("/usr/bin/cargo"),
    };
    cargo.arg(verb).args(["--package", "lb-ebpf", "--target", TARGET, "--target-dir"]).arg(target);
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
