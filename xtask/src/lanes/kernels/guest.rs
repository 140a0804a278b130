//! A guest: booted by QEMU with an emulated processor, so that no virtualization is needed, and read on its
//! serial line.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::process;

/// The time limit of a guest.
pub(super) const LIMIT: Duration = Duration::from_secs(600);
/// That of a guest that tests machines: each kind of uplink costs about two minutes.
pub(super) const LIMIT_OF_MACHINES: Duration = Duration::from_secs(2400);
const MEMORY: &str = "1536";
/// Its interfaces, on one segment: two nodes and their switch.
const NICS: u8 = 3;

/// A guest to boot.
pub(super) struct Guest<'a> {
    /// Its name in reports.
    pub(super) release: &'a str,
    pub(super) image: &'a Path,
    pub(super) files: PathBuf,
    /// The file for the output of its serial line.
    pub(super) log: PathBuf,
    /// Further arguments on the kernel's command line.
    pub(super) words: String,
    /// Its time limit.
    pub(super) limit: Duration,
}

impl Guest<'_> {
    /// Runs it until it is off or its time is over, and returns its output.
    pub(super) fn run(&self) -> Result<String> {
        let log = File::create(&self.log).with_context(|| self.log.display().to_string())?;
        let mut qemu = process::command("qemu-system-x86_64");
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY]);
        qemu.args(["-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"]);
        for nic in 0..NICS {
            qemu.args(["-netdev", &format!("hubport,id=n{nic},hubid=0")]);
            qemu.args(["-device", &format!("virtio-net-pci,netdev=n{nic},mac=52:54:00:00:00:0{nic}")]);
        }
        qemu.arg("-kernel").arg(self.image).arg("-initrd").arg(&self.files);
        qemu.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 no_timer_check {}", self.words));
        let child = qemu.stdin(Stdio::null()).stdout(log).stderr(Stdio::inherit()).spawn();
        let child = child.with_context(|| format!("cannot start `{}`", process::line(&qemu)))?;
        wait(child, self.limit)?;
        let output = fs::read(&self.log)?;
        Ok(String::from_utf8_lossy(&output).replace('\r', ""))
    }
}

/// Waits for the end; a guest over its time limit is killed.
fn wait(mut child: Child, limit: Duration) -> Result<()> {
    let until = Instant::now() + limit;
    while child.try_wait()?.is_none() {
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
