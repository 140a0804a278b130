//! The target of static programs: a standard library on musl, and a C compiler for crates with C code.

use std::process::Command;

use anyhow::Result;

use super::toolchain;
use crate::machine;

/// This machine's architecture, with musl.
pub(crate) const TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };

/// Debian's name of it.
const COMPILER: &str = "musl-gcc";

/// What is missing.
pub(super) fn missing() -> Result<Option<String>> {
    if machine::program(COMPILER).is_none() {
        return Ok(Some(format!("no {COMPILER}")));
    }
    toolchain::missing_target(TARGET)
}

/// The packages to install.
pub(super) fn packages() -> Vec<String> {
    if machine::program(COMPILER).is_none() { vec!["musl-tools".to_owned()] } else { Vec::new() }
}

/// Adds the standard library.
pub(super) fn install() -> Result<()> {
    toolchain::add_target(TARGET)
}

/// Sets the C compiler of a cargo for the target.
pub(crate) fn environment(cargo: &mut Command) -> &mut Command {
    cargo.env(format!("CC_{}", TARGET.replace('-', "_")), COMPILER)
}
