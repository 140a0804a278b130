//! A test on a kernel that is too old: `cargo xtask test kernels` boots it and runs this there.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::bpffs::Bpffs;
use fairlead_tests::lab::node::find_binary;
use tempfile::TempDir;

/// How long the error may take, on an emulated processor.
const WITHIN: Duration = Duration::from_secs(10);

/// Runs a subcommand that must fail because of the kernel.
fn refused(arguments: &[&str], bpffs: &Bpffs) -> Result<()> {
    let started = Instant::now();
    let mut command = Command::new(find_binary()?);
    let Output { status, stdout, stderr } =
        command.args(arguments).arg("--bpffs").arg(bpffs.path()).output()?;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    ensure!(!status.success(), "{arguments:?} succeeds: {said}");
    ensure!(started.elapsed() < WITHIN, "{arguments:?} took {:?}: {said}", started.elapsed());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(said.contains(&format!("kernel {} is too old: Linux ", release.trim())), "{arguments:?}: {said}");
    ensure!(!said.contains("refused"), "the program must not be loaded: {said}");
    Ok(())
}

#[test]
fn doctor_and_agent_reject_an_old_kernel_before_loading_programs() -> Result<()> {
    let bpffs = Bpffs::mount()?;
    refused(&["doctor"], &bpffs)?;
    let objects = TempDir::new()?;
    let source = objects.path().to_string_lossy().into_owned();
    refused(&["agent", "--source", &source, "--node", "n1", "--interface", "lo"], &bpffs)
}
