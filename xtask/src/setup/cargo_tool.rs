//! Tools that cargo builds from source: the judge of dependencies, the driver of the fuzzer.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// One of them, in the version that is installed.
pub(crate) struct CargoTool {
    name: &'static str,
    version: &'static str,
}

/// Judges licences, versions and sources of dependencies.
pub(crate) const DENY: CargoTool = CargoTool { name: "cargo-deny", version: "0.20.2" };

/// Builds fuzz targets with what the fuzzer needs to see, and runs them.
pub(crate) const FUZZ: CargoTool = CargoTool { name: "cargo-fuzz", version: "0.13.2" };

impl CargoTool {
    /// The program.
    pub(crate) fn binary(&self) -> Result<PathBuf> {
        Ok(directory()?.join("bin").join(self.name))
    }

    /// Name and version.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// What is missing.
    pub(super) fn missing(&self) -> Result<Option<String>> {
        let binary = self.binary()?;
        let installed = binary.exists().then(|| process::output(process::command(binary).arg("--version")));
        let is_right = installed
            .is_some_and(|version| version.is_ok_and(|version| version.trim_end().ends_with(self.version)));
        Ok(if is_right { None } else { Some("none; to build one takes minutes".to_owned()) })
    }

    /// Builds it.
    pub(super) fn install(&self) -> Result<()> {
        let mut cargo = process::cargo();
        cargo
            .args(["install", self.name, "--version", self.version, "--locked", "--force", "--root"])
            .arg(directory()?);
        process::output(&mut cargo).with_context(|| format!("{} cannot be built", self.name))?;
        Ok(())
    }
}

fn directory() -> Result<PathBuf> {
    Ok(workspace::cache()?.join("tools"))
}
