//! Static programs: a standard library on musl, a C compiler for crates with C code, and for another
//! architecture an emulator.

use anyhow::Result;

use super::toolchain;
use crate::architecture::Architecture;
use crate::machine;

/// Describes what is missing.
pub(super) fn missing(architecture: Architecture) -> Result<Option<String>> {
    let tools = architecture.tools();
    let mut programs = [Some(tools.compiler), tools.emulator].into_iter().flatten();
    match programs.find(|program| is_missing(program)) {
        Some(program) => Ok(Some(format!("no {program}"))),
        None => toolchain::missing_target(architecture.target()),
    }
}

/// Returns the packages to install.
pub(super) fn packages(architecture: Architecture) -> Vec<String> {
    let tools = architecture.tools();
    let compiler = if is_missing(tools.compiler) { tools.packages } else { &[] };
    let emulator = tools.emulator.filter(|emulator| is_missing(emulator)).map(|_| "qemu-user-static");
    compiler.iter().copied().chain(emulator).map(str::to_owned).collect()
}

/// Adds the standard library.
pub(super) fn install(architecture: Architecture) -> Result<()> {
    toolchain::add_target(architecture.target())
}

fn is_missing(program: &str) -> bool {
    machine::program(program).is_none()
}
