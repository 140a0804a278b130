//! The released kubectl and helm, which `cargo xtask test cluster` fetches.

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The variable with the directory of both.
const DIRECTORY: &str = "FAIRLEAD_KUBE_CLIENTS";

/// The directory of both programs.
#[derive(Clone, Debug)]
pub struct KubeClients(PathBuf);

/// The result of a program.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// The exit code; -1 if a signal killed it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl CommandOutput {
    /// Returns the standard output of a program that succeeded.
    ///
    /// # Errors
    /// When it failed; the error has its output.
    pub fn success(self) -> Result<String> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        bail!("exit code {}: {}{}", self.code, self.stdout, self.stderr)
    }

    /// Returns the standard error of a program that failed.
    ///
    /// # Errors
    /// When it succeeded.
    pub fn failure(self) -> Result<String> {
        if self.code != 0 {
            return Ok(self.stderr);
        }
        bail!("it succeeded: {}{}", self.stdout, self.stderr)
    }
}

impl KubeClients {
    /// Finds the programs; `None` if this machine does not have them: then test `name` reports that it is
    /// skipped.
    #[must_use]
    pub fn or_skip(name: &str) -> Option<Self> {
        let directory = env::var_os(DIRECTORY).map(PathBuf::from);
        let reason = match &directory {
            None => format!("{DIRECTORY} is not set; run `cargo xtask test cluster`"),
            Some(directory) if !directory.join("helm").exists() => {
                format!("there is no helm in {}", directory.display())
            }
            Some(directory) => return Some(Self(directory.clone())),
        };
        skipped(name, &reason);
        None
    }

    /// Returns the path of helm.
    #[must_use]
    pub fn helm(&self) -> PathBuf {
        self.0.join("helm")
    }

    /// Returns the path of kubectl.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.0.join("kubectl")
    }

    /// Returns the directory to put first in `PATH`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0
    }
}

/// Finds a program in `PATH`; `None` if there is none: then test `name` reports that it is skipped.
#[must_use]
pub fn program_or_skip(program: &str, name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file());
    if found.is_none() {
        skipped(name, &format!("there is no {program}; `cargo xtask setup` installs it"));
    }
    found
}

/// Reports a skipped test past the test runner's capture.
fn skipped(name: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "test {name} ... skipped: {reason}");
}

/// Runs a command to completion at the root of the source tree, with this `HOME`.
///
/// # Errors
/// When it cannot be started.
pub fn run<S: AsRef<OsStr>>(program: &Path, home: &Path, args: &[S], input: &str) -> Result<CommandOutput> {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(root())
        .env("HOME", home)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_DATA_HOME")
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has exited.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    Ok(CommandOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Returns the root of the source tree.
#[must_use]
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}
