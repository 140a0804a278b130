//! CPU starvation: busy loops on all processors, and a limit on a process's share of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

/// Busy-looping threads, which end when this is dropped.
#[derive(Debug)]
pub struct BusyLoops {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BusyLoops {
    /// Starts two for each processor, so that every other process has to wait for one.
    ///
    /// # Errors
    /// When the number of processors is not known.
    pub fn on_all_processors() -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let run = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..2 * thread::available_parallelism()?.get()).map(run).collect();
        Ok(Self { stop, threads })
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A loop does not panic.
            let _ = thread.join();
        }
    }
}

/// A control group that limits its processes to so many thousandths of a processor. It is removed on drop;
/// its remaining processes move back to the parent group.
#[derive(Debug)]
pub struct CpuLimit {
    group: PathBuf,
}

/// The period of the quota, as Kubernetes sets it.
const PERIOD_MICROSECONDS: u64 = 100_000;

impl CpuLimit {
    /// Limits one process and its threads, as a container with `limits: {cpu: 100m}` is with 100.
    ///
    /// # Errors
    /// When this machine has neither version of control groups, or creating one is not permitted.
    pub fn put(process: u32, thousandths: u64) -> Result<Self> {
        let quota = PERIOD_MICROSECONDS * thousandths / 1000;
        let v1 = Path::new("/sys/fs/cgroup/cpu");
        let (root, file, bound) = if v1.is_dir() {
            (v1, "cpu.cfs_quota_us", quota.to_string())
        } else {
            (Path::new("/sys/fs/cgroup"), "cpu.max", format!("{quota} {PERIOD_MICROSECONDS}"))
        };
        let group = root.join(format!("fairlead-test-{process}"));
        fs::create_dir(&group).with_context(|| format!("cannot make {}", group.display()))?;
        let limit = Self { group };
        fs::write(limit.group.join(file), bound).with_context(|| format!("cannot set {file}"))?;
        fs::write(limit.group.join("cgroup.procs"), process.to_string())
            .with_context(|| format!("cannot put {process} into {}", limit.group.display()))?;
        Ok(limit)
    }

    /// Returns the number of periods in which the group ran, and in how many of them it was throttled.
    ///
    /// # Errors
    /// When the kernel does not report it.
    pub fn periods(&self) -> Result<[u64; 2]> {
        let stat = fs::read_to_string(self.group.join("cpu.stat"))?;
        let number = |name: &str| -> Result<u64> {
            let line = stat.lines().find_map(|line| line.strip_prefix(name)).context("no such number")?;
            Ok(line.trim().parse()?)
        };
        Ok([number("nr_periods ")?, number("nr_throttled ")?])
    }
}

impl Drop for CpuLimit {
    fn drop(&mut self) {
        let parent = self.group.parent().unwrap_or(Path::new("/"));
        let processes = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            // It may have ended meanwhile.
            let _ = fs::write(parent.join("cgroup.procs"), process);
        }
        if let Err(error) = fs::remove_dir(&self.group) {
            eprintln!("cannot remove {}: {error}", self.group.display());
        }
    }
}
