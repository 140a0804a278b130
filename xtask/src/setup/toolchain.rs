//! Components of the toolchain that runs this program: the one that rust-toolchain.toml pins.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{machine, process};

/// Describes which of these components are missing.
pub(crate) fn missing(components: &[&str]) -> Result<Option<String>> {
    let sysroot = sysroot()?;
    let missing: Vec<&str> =
        components.iter().copied().filter(|component| !sysroot.join(evidence(component)).exists()).collect();
    Ok(if missing.is_empty() { None } else { Some(format!("no {}", missing.join(", "))) })
}

/// Adds components; an installed one costs nothing.
pub(crate) fn add(components: &[&str]) -> Result<()> {
    let by_hand = format!("add the toolchain components {}", components.join(", "));
    machine::program("rustup").with_context(|| format!("rustup is not installed: {by_hand}"))?;
    process::output(process::command("rustup").args(["component", "add"]).args(components))
        .context(by_hand)?;
    Ok(())
}

/// Returns a file that exists if the component is installed.
fn evidence(component: &str) -> &'static str {
    match component {
        "rust-src" => "lib/rustlib/src/rust/library/core/src/lib.rs",
        "rustfmt" => "bin/cargo-fmt",
        _ => "bin/cargo-clippy",
    }
}

/// Describes what is missing of a target.
pub(crate) fn missing_target(target: &str) -> Result<Option<String>> {
    let is_there = sysroot()?.join("lib/rustlib").join(target).join("lib").exists();
    Ok(if is_there { None } else { Some(format!("no standard library for {target}")) })
}

/// Adds a target's standard library.
pub(crate) fn add_target(target: &str) -> Result<()> {
    let by_hand = format!("add the toolchain target {target}");
    machine::program("rustup").with_context(|| format!("rustup is not installed: {by_hand}"))?;
    process::output(process::command("rustup").args(["target", "add", target])).context(by_hand)?;
    Ok(())
}

fn sysroot() -> Result<PathBuf> {
    let path = process::output(process::command("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(path.trim()))
}
