//! Death of a process for lack of memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const V1: &str = "/sys/fs/cgroup/memory";
const V2: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// The least that a process needs for anything: less than one allocation.
const LIMIT: &str = "4096";
const DIES_WITHIN: Duration = Duration::from_secs(5);

/// How a process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryDeath {
    /// By the kernel's OOM killer.
    OutOfMemory,
    /// By `cgroup.kill`: this machine has no control groups for memory.
    GroupKilled,
}

/// A control group, removed on drop.
struct Group(PathBuf);

impl Group {
    fn create(root: &Path, process: u32) -> Result<Self> {
        let path = root.join(format!("fairlead-oom-{process}"));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        fs::write(self.0.join(file), value).with_context(|| format!("{}/{file} = {value}", self.0.display()))
    }

    /// Returns how many processes the OOM killer has killed in the group.
    fn kills(&self) -> u64 {
        let texts = ["memory.oom_control", "memory.events"].map(|file| fs::read_to_string(self.0.join(file)));
        let texts = texts.into_iter().flatten().collect::<Vec<_>>().join("\n");
        let found = texts.lines().find_map(|line| line.strip_prefix("oom_kill "));
        found.and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It stays busy until the process is reaped.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        eprintln!("cannot remove {}", self.0.display());
    }
}

/// Takes all memory from a process; `provoke` makes it allocate, and `is_dead` returns whether it has died.
///
/// # Errors
/// When this machine's control groups cannot be used, or the process lives on.
pub fn exhaust(process: u32, provoke: impl Fn(), is_dead: impl Fn() -> Result<bool>) -> Result<MemoryDeath> {
    let (group, death) = limited(process)?;
    group.write("cgroup.procs", &process.to_string())?;
    if death == MemoryDeath::GroupKilled {
        group.write("cgroup.kill", "1")?;
    }
    let until = Instant::now() + DIES_WITHIN;
    while !is_dead()? {
        ensure!(Instant::now() < until, "process {process} lives on without memory");
        provoke();
    }
    ensure!(death == MemoryDeath::GroupKilled || group.kills() > 0, "it was not the OOM killer");
    Ok(death)
}

/// Creates a group without memory, or one whose processes can at least be killed together.
fn limited(process: u32) -> Result<(Group, MemoryDeath)> {
    if Path::new(V1).is_dir() {
        let group = Group::create(Path::new(V1), process)?;
        group.write("memory.limit_in_bytes", LIMIT)?;
        return Ok((group, MemoryDeath::OutOfMemory));
    }
    let root = V2.into_iter().map(Path::new).find(|root| root.join("cgroup.controllers").exists());
    let root = root.context("no control groups")?;
    let group = Group::create(root, process)?;
    match group.write("memory.max", LIMIT) {
        Ok(()) => Ok((group, MemoryDeath::OutOfMemory)),
        Err(_) => Ok((group, MemoryDeath::GroupKilled)),
    }
}
