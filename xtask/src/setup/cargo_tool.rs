//! Tools that cargo builds from source, each in one pinned version.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// One tool.
pub(crate) struct CargoTool {
    package: &'static str,
    version: &'static str,
    program: &'static str,
    /// Further arguments of `cargo install`.
    options: &'static [&'static str],
}

/// Checks licences, versions and sources of dependencies.
pub(crate) const DENY: CargoTool = tool("cargo-deny", "0.20.2", "cargo-deny", &[]);

/// Builds fuzz targets with the instrumentation that the fuzzer needs, and runs them.
pub(crate) const FUZZ: CargoTool = tool("cargo-fuzz", "0.13.2", "cargo-fuzz", &[]);

/// Checks the spelling. Its dictionary takes most of the build, at any level of optimization: over a minute
/// on two cores.
pub(crate) const TYPOS: CargoTool = tool("typos-cli", "1.52.0", "typos", &[]);

/// Builds the book, without server, watcher and search. Unoptimized, it builds in half a minute instead of a
/// whole one.
pub(crate) const MDBOOK: CargoTool = tool("mdbook", "0.5.4", "mdbook", &["--no-default-features", "--debug"]);

const fn tool(
    package: &'static str,
    version: &'static str,
    program: &'static str,
    options: &'static [&'static str],
) -> CargoTool {
    CargoTool { package, version, program, options }
}

impl CargoTool {
    /// The path of the program.
    pub(crate) fn binary(&self) -> Result<PathBuf> {
        Ok(directory()?.join("bin").join(self.program))
    }

    /// Name and version.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.program, self.version)
    }

    /// What is missing.
    pub(super) fn missing(&self) -> Result<Option<String>> {
        let binary = self.binary()?;
        let installed = binary.exists().then(|| process::output(process::command(binary).arg("--version")));
        let is_right = installed
            .is_some_and(|version| version.is_ok_and(|version| version.trim_end().ends_with(self.version)));
        Ok(if is_right { None } else { Some("not installed; building it takes a minute or more".to_owned()) })
    }

    /// Builds it.
    pub(super) fn install(&self) -> Result<()> {
        let mut cargo = process::cargo();
        cargo.args(["install", self.package, "--version", self.version, "--locked", "--force", "--root"]);
        cargo.arg(directory()?).args(self.options).env("CARGO_PROFILE_DEV_DEBUG", "0");
        process::output(&mut cargo).with_context(|| format!("cannot build {}", self.package))?;
        Ok(())
    }
}

fn directory() -> Result<PathBuf> {
    Ok(workspace::cache()?.join("tools"))
}
