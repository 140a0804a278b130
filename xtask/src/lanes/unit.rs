//! The tests that need only the host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cargo_test;
use crate::architecture::Architecture;
use crate::workspace;

/// Directories of the crates whose integration tests are lanes of their own.
const LANE_CRATES: [&str; 2] = ["tests", "bench"];

/// Returns the run of the tests, in one build: a second one with fewer crates would have other features of
/// dependencies, and build most of them again.
pub(super) fn tests() -> Result<Command> {
    let mut cargo = cargo_test();
    cargo.args(["--workspace", "--exclude", "lb-ebpf", "--lib", "--bins"]);
    for name in integration_tests()? {
        cargo.args(["--test", &name]);
    }
    Ok(cargo)
}

/// Returns the run of the examples in documentation. Only crates that have some are asked for: a
/// documentation test builds the crate's library.
pub(super) fn examples() -> Result<Command> {
    let mut cargo = cargo_test();
    cargo.arg("--doc");
    for package in directories(workspace::root())? {
        if !LANE_CRATES.iter().any(|name| package.ends_with(name)) && has_example(&package.join("src"))? {
            cargo.args(["--package", &stem(&package)?]);
        }
    }
    Ok(cargo)
}

/// Returns the run of the pure crates' tests for the other architecture, in an emulator.
///
/// A pure crate has a `clippy.toml` of its own, which keeps clocks and files out of it.
pub(super) fn foreign() -> Result<Command> {
    let mut cargo = cargo_test();
    cargo.args(["--lib", "--tests", "--release"]);
    for package in directories(workspace::root())? {
        if package.join("clippy.toml").is_file() {
            cargo.args(["--package", &stem(&package)?]);
        }
    }
    Architecture::FOREIGN.set(&mut cargo);
    Ok(cargo)
}

/// Returns the integration tests of all crates but those whose tests are lanes.
fn integration_tests() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for package in directories(workspace::root())? {
        let tests = package.join("tests");
        if LANE_CRATES.iter().any(|name| package.ends_with(name)) || !tests.is_dir() {
            continue;
        }
        for entry in fs::read_dir(tests)? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "rs") || path.join("main.rs").is_file() {
                names.insert(stem(&path)?);
            }
        }
    }
    Ok(names)
}

/// Returns the directories below one.
fn directories(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(parent)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

fn stem(path: &Path) -> Result<String> {
    let stem = path.file_stem().with_context(|| format!("{} has no name", path.display()))?;
    Ok(stem.to_string_lossy().into_owned())
}

/// Whether a file below the directory documents something by code that runs.
fn has_example(directory: &Path) -> Result<bool> {
    if !directory.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_rust = path.extension().is_some_and(|it| it == "rs");
        if path.is_dir() && has_example(&path)? || is_rust && opens_example(&fs::read_to_string(&path)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a fence in the documentation of a file opens a block of Rust.
fn opens_example(source: &str) -> bool {
    let mut is_open = false;
    source.lines().filter_map(fence).any(|language| {
        is_open = !is_open;
        is_open && ["", "rust", "no_run", "should_panic", "compile_fail"].contains(&language)
    })
}

/// Returns the language of a fence in a documentation comment.
fn fence(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    text.trim().strip_prefix("```")
}

#[cfg(test)]
mod tests {
    use super::{integration_tests, opens_example};

    #[test]
    fn only_blocks_of_rust_are_examples() {
        assert!(opens_example("//! ```\n//! f();\n//! ```\n"));
        assert!(opens_example("    /// ```no_run\n"));
        assert!(!opens_example("//! ```text\n//! a box\n//! ```\n"));
        assert!(!opens_example("// ```\n"));
    }

    #[test]
    fn lanes_are_no_unit_tests() {
        let tests = integration_tests().unwrap();
        assert!(tests.contains("manifests") && tests.contains("session"), "{tests:?}");
        assert!(!tests.contains("lab") && !tests.contains("guest"), "{tests:?}");
    }
}
