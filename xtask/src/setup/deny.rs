//! cargo-deny, the judge of licences, versions and sources of dependencies.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The version that is installed.
pub(crate) const VERSION: &str = "0.20.2";

/// The program.
pub(crate) fn binary() -> Result<PathBuf> {
    Ok(directory()?.join("bin/cargo-deny"))
}

/// What is missing.
pub(super) fn missing() -> Result<Option<String>> {
    let binary = binary()?;
    let installed = binary.exists().then(|| process::output(process::command(binary).arg("--version")));
    let is_right =
        installed.is_some_and(|version| version.is_ok_and(|version| version.trim_end().ends_with(VERSION)));
    Ok(if is_right { None } else { Some("none; to build one takes minutes".to_owned()) })
}

/// Builds it.
pub(super) fn install() -> Result<()> {
    let mut cargo = process::cargo();
    cargo
        .args(["install", "cargo-deny", "--version", VERSION, "--locked", "--force", "--root"])
        .arg(directory()?);
    process::output(&mut cargo).context("cargo-deny cannot be built")?;
    Ok(())
}

fn directory() -> Result<PathBuf> {
    Ok(workspace::cache()?.join("tools"))
}
