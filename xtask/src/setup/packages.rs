//! Installation of Debian packages without starting a service.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{machine, process};

/// The program that Debian runs before it starts a service on its own.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Answers "forbidden by policy" (101) to every question.
const FORBID: &str =
    "#!/bin/sh\n# Fairlead's setup forbids services to start while it installs packages.\nexit 101\n";

/// Installs packages; an error lists them where this program cannot.
pub(super) fn install<P: AsRef<OsStr> + AsRef<str>>(packages: &[P]) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(AsRef::as_ref).collect();
    let names = names.join(" ");
    ensure!(machine::is_debian(), "not a Debian system: install the equivalents of its packages {names}");
    ensure!(machine::is_root(), "run as root: apt-get install --no-install-recommends {names}");
    process::output(apt_get().arg("update")).context("cannot fetch the package lists")?;
    let policy = Policy::forbid_starts(Path::new(POLICY))?;
    let installed =
        process::output(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages));
    drop(policy);
    installed.with_context(|| format!("cannot install {names}"))?;
    Ok(())
}

fn apt_get() -> std::process::Command {
    let mut command = process::command("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "--option", "DPkg::Lock::Timeout=120"]);
    command
}

/// A policy that lets no service start, in place of the system's own while this value lives.
struct Policy {
    file: PathBuf,
    kept: PathBuf,
}

impl Policy {
    fn forbid_starts(file: &Path) -> Result<Self> {
        let policy = Self { file: file.to_owned(), kept: file.with_extension("d.before-fairlead") };
        // A killed run may have left its policy behind; then the system's own is the one that it kept.
        let is_ours = fs::read_to_string(file).is_ok_and(|text| text == FORBID);
        if fs::symlink_metadata(file).is_ok() && !is_ours {
            fs::rename(file, &policy.kept)
                .with_context(|| format!("cannot move {} aside", file.display()))?;
        }
        fs::write(file, FORBID).with_context(|| format!("cannot write {}", file.display()))?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        Ok(policy)
    }

    fn restore(&self) -> std::io::Result<()> {
        if fs::symlink_metadata(&self.kept).is_ok() {
            fs::rename(&self.kept, &self.file)
        } else {
            fs::remove_file(&self.file)
        }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            eprintln!("setup: cannot restore {}: {error}", self.file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::{env, fs, process};

    use super::Policy;

    fn place(name: &str) -> PathBuf {
        let directory = env::temp_dir().join(format!("fairlead-policy-{}-{name}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory.join("policy-rc.d")
    }

    #[test]
    fn an_existing_policy_is_restored() {
        let file = place("kept");
        fs::write(&file, "the system's own").unwrap();
        let policy = Policy::forbid_starts(&file).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("exit 101"));
        drop(policy);
        assert_eq!(fs::read_to_string(&file).unwrap(), "the system's own");
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }

    #[test]
    fn without_an_existing_policy_none_remains() {
        let file = place("none");
        drop(Policy::forbid_starts(&file).unwrap());
        assert!(!file.exists());
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_killed_run_does_not_affect_the_next() {
        let file = place("killed");
        fs::write(&file, "the system's own").unwrap();
        std::mem::forget(Policy::forbid_starts(&file).unwrap());
        drop(Policy::forbid_starts(&file).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "the system's own");

        fs::remove_file(&file).unwrap();
        std::mem::forget(Policy::forbid_starts(&file).unwrap());
        drop(Policy::forbid_starts(&file).unwrap());
        assert!(!file.exists());
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
}
