//! bpf-linker, built against the compiler's version of LLVM.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{process, workspace};

/// The version that is installed.
pub(crate) const VERSION: &str = "0.13.0";

/// Returns the linker's directory: one for each version and LLVM, so that a newer toolchain gets its own.
pub(crate) fn directory() -> Result<PathBuf> {
    Ok(workspace::cache()?.join(format!("bpf-linker-{VERSION}-llvm-{}", llvm()?)))
}

/// What is missing.
pub(super) fn missing() -> Result<Option<String>> {
    Ok(if runs()? {
        None
    } else {
        Some(format!("not installed for LLVM {}; building it takes minutes", llvm()?))
    })
}

/// Returns the missing Debian packages to build it, or to run an earlier build: it loads LLVM as a library.
pub(super) fn packages() -> Result<Vec<String>> {
    let llvm = llvm()?;
    if runs()? || has_llvm(llvm) {
        return Ok(Vec::new());
    }
    Ok(vec![format!("llvm-{llvm}-dev")])
}

/// Builds it.
pub(super) fn install() -> Result<()> {
    if runs()? {
        return Ok(());
    }
    let llvm = llvm()?;
    ensure!(has_llvm(llvm), "cannot build bpf-linker: no LLVM {llvm} in {}", prefix(llvm).display());
    let mut cargo = process::cargo();
    cargo.args([
        "install",
        "bpf-linker",
        "--version",
        VERSION,
        "--locked",
        "--force",
        "--no-default-features",
    ]);
    cargo.args(["--features", &format!("llvm-{llvm}"), "--root"]).arg(directory()?);
    // Without the prefix, the build does not find Debian's LLVM.
    cargo.env("LLVM_PREFIX", prefix(llvm));
    process::output(&mut cargo).context("cannot build bpf-linker")?;
    Ok(())
}

fn runs() -> Result<bool> {
    let binary = directory()?.join("bin/bpf-linker");
    // It starts only if its LLVM is installed, too.
    Ok(binary.exists() && process::output(process::command(binary).arg("--version")).is_ok())
}

fn has_llvm(llvm: u32) -> bool {
    prefix(llvm).join("lib/libLLVM.so").exists()
}

fn prefix(llvm: u32) -> PathBuf {
    env::var_os("LLVM_PREFIX")
        .map_or_else(|| Path::new("/usr/lib").join(format!("llvm-{llvm}")), PathBuf::from)
}

/// Major version of the compiler's LLVM.
fn llvm() -> Result<u32> {
    let version = process::output(process::command("rustc").arg("-vV"))?;
    llvm_of(&version).with_context(|| format!("`rustc -vV` names no LLVM version:\n{version}"))
}

fn llvm_of(version: &str) -> Option<u32> {
    let number = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    number.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::llvm_of;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(llvm_of("rustc 1.95.0\nrelease: 1.95.0\nLLVM version: 22.1.2\n"), Some(22));
        assert_eq!(llvm_of("LLVM version: 9"), Some(9));
    }

    #[test]
    fn a_compiler_without_llvm_has_none() {
        assert_eq!(llvm_of("rustc 1.95.0\nrelease: 1.95.0\n"), None);
        assert_eq!(llvm_of("LLVM version: unknown"), None);
    }
}
