//! What makes a program's life hard: others that want all processors, and a bound on its own share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

/// Threads that do nothing, as fast as they can, until this is dropped.
#[derive(Debug)]
pub struct BusyLoops {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BusyLoops {
    /// Two for each processor, so that whoever else wants one has to wait for it.
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

/// A group of processes that together get no more than so many thousandths of a processor. It is gone when this
/// is dropped; what still runs in it goes back to where all processes are.
#[derive(Debug)]
pub struct CpuLimit {
    group: PathBuf,
}

/// The share is given anew this often, as Kubernetes has it.
const PERIOD_MICROSECONDS: u64 = 100_000;

impl CpuLimit {
    /// A group for one process and its threads, as a container with `limits: {cpu: 100m}` gets with 100.
    ///
    /// # Errors
    /// When this machine has neither kind of control groups, or does not let its groups be made.
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

    /// How many periods began with the group running, and in how many of them it had to wait.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn periods(&self) -> Result<[u64; 2]> {
        let told = fs::read_to_string(self.group.join("cpu.stat"))?;
        let number = |name: &str| -> Result<u64> {
            let line = told.lines().find_map(|line| line.strip_prefix(name)).context("no such number")?;
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
