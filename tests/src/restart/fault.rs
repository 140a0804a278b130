//! The faults of an agent.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::is_soak;
use super::keeping::Keeping;
use super::memory::{self, MemoryDeath};
use crate::lab::{Lab, LabNode, agents};

/// A fault of an agent, and the repair of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartFault {
    /// It is killed, and starts again 3 s later.
    Killed,
    /// It is killed, and another version of it starts 3 s later.
    Upgraded,
    /// The kernel kills it for lack of memory, and it starts again 3 s later.
    OutOfMemory,
    /// It is suspended for 5 s.
    Suspended,
    /// It is killed every 2 s.
    CrashLoop,
    /// The process that holds its connections is killed.
    KeeperKilled,
    /// Both are killed, and the agent starts again 3 s later.
    BothKilled,
    /// It is stopped by SIGTERM, and starts again at once.
    Restarted,
    /// Another one starts beside it and takes over; then it is stopped.
    Surged,
}

/// A fault under way: how the agent starts again.
#[derive(Clone, Copy, Debug)]
pub struct FaultPlan {
    /// The fault.
    pub fault: RestartFault,
    /// What the agent keeps for its successor.
    pub keeping: Keeping,
}

/// The time without an agent.
const AWAY: Duration = Duration::from_secs(3);
const SUSPENDED: Duration = Duration::from_secs(5);
const CRASHES_EVERY: Duration = Duration::from_secs(2);
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// How long a keeper may take to start again.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

impl RestartFault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Killed,
        Self::Upgraded,
        Self::OutOfMemory,
        Self::Suspended,
        Self::CrashLoop,
        Self::KeeperKilled,
        Self::BothKilled,
        Self::Restarted,
        Self::Surged,
    ];

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill -9, 3 s",
            Self::Upgraded => "kill -9, another version",
            Self::OutOfMemory => "out of memory",
            Self::Suspended => "SIGSTOP, 5 s",
            Self::CrashLoop => "crash loop, every 2 s",
            Self::KeeperKilled => "keeper killed",
            Self::BothKilled => "agent and keeper killed",
            Self::Restarted => "SIGTERM and start",
            Self::Surged => "another one takes over",
        }
    }

    /// Returns whether sessions cannot survive it: only graceful restart helps.
    #[must_use]
    pub fn ends_sessions(self) -> bool {
        self == Self::BothKilled
    }
}

impl FaultPlan {
    /// Injects the fault.
    ///
    /// # Errors
    /// When it cannot be injected.
    pub fn begin(&self, node: &LabNode<'_>) -> Result<()> {
        match self.fault {
            RestartFault::Killed | RestartFault::Upgraded | RestartFault::CrashLoop => node.kill_agent(),
            RestartFault::Suspended => node.signal_agent(Signal::SIGSTOP),
            RestartFault::OutOfMemory => {
                let death = exhaust(node)?;
                if death == MemoryDeath::GroupKilled {
                    println!("no control groups for memory: killed by cgroup.kill");
                }
                Ok(())
            }
            RestartFault::KeeperKilled => kill_keeper(node).map(drop),
            RestartFault::BothKilled => {
                // The agent first: it would start another keeper.
                node.signal_agent(Signal::SIGSTOP)?;
                kill_keeper(node)?;
                node.kill_agent()
            }
            RestartFault::Restarted => node.stop_agent(ENDS_WITHIN),
            RestartFault::Surged => node.surge_agent(&self.keeping.options()),
        }
    }

    /// Waits for as long as the fault lasts.
    ///
    /// # Errors
    /// When an agent of a crash loop does not start.
    pub fn last(&self, lab: &Lab, node: &LabNode<'_>) -> Result<()> {
        match self.fault {
            RestartFault::Killed
            | RestartFault::Upgraded
            | RestartFault::OutOfMemory
            | RestartFault::BothKilled => sleep(AWAY),
            RestartFault::Suspended => sleep(SUSPENDED),
            RestartFault::Restarted | RestartFault::Surged => {}
            RestartFault::KeeperKilled => wait_keeper(node)?,
            RestartFault::CrashLoop => {
                let until = Instant::now() + Duration::from_secs(if is_soak() { 60 } else { 15 });
                while Instant::now() < until {
                    node.launch_agent(&self.keeping.options())?;
                    agents::prioritize(lab)?;
                    sleep(CRASHES_EVERY);
                    node.kill_agent()?;
                }
            }
        }
        Ok(())
    }

    /// Repairs it, and waits until the agent is ready.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn end(&self, lab: &Lab, node: &LabNode<'_>) -> Result<()> {
        let mut options = self.keeping.options();
        match self.fault {
            RestartFault::Suspended => node.signal_agent(Signal::SIGCONT)?,
            RestartFault::KeeperKilled | RestartFault::Surged => {}
            RestartFault::Upgraded => {
                options.binary = env::var_os("FAIRLEAD_OTHER_BIN").map(PathBuf::from);
                // Another value selects another program for the kernel.
                options.arguments.extend(["--ask-kernel", "off"].map(str::to_owned));
                node.launch_agent(&options)?;
            }
            RestartFault::Killed
            | RestartFault::OutOfMemory
            | RestartFault::CrashLoop
            | RestartFault::BothKilled
            | RestartFault::Restarted => node.launch_agent(&options)?,
        }
        agents::prioritize(lab)?;
        node.wait_agent_ready(options.ready_within)
    }
}

/// Lets the kernel kill a node's agent for lack of memory. Requests for its status make it allocate.
fn exhaust(node: &LabNode<'_>) -> Result<MemoryDeath> {
    let process = node.agent_id()?;
    // A zombie has no memory, and is dead.
    let is_dead = || {
        let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        Ok(state.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z')))
    };
    let death = memory::exhaust(process, || drop(node.status()), is_dead)?;
    node.kill_agent()?;
    Ok(death)
}

/// Kills the process that holds a node's connections. Returns its process ID.
///
/// # Errors
/// When none runs.
pub fn kill_keeper(node: &LabNode<'_>) -> Result<u32> {
    let keeper = find_keeper(node)?.with_context(|| format!("{}: no keeper runs", node.name()))?;
    kill(Pid::from_raw(keeper.cast_signed()), Signal::SIGKILL)?;
    Ok(keeper)
}

/// Waits until the agent has another keeper, which holds its connections.
fn wait_keeper(node: &LabNode<'_>) -> Result<()> {
    let until = Instant::now() + KEPT_WITHIN;
    while find_keeper(node)?.is_none() {
        ensure!(Instant::now() < until, "{}: no other keeper was started", node.name());
        sleep(Duration::from_millis(50));
    }
    // The agent connects again, and hands over its connections.
    sleep(Duration::from_secs(1));
    Ok(())
}

/// Finds the keeper of a node by its command line: it is no child of the test, and its process ID in the lab
/// is another one.
///
/// # Errors
/// When the processes cannot be listed.
pub fn find_keeper(node: &LabNode<'_>) -> Result<Option<u32>> {
    let socket = node.directory().join("keeper.sock").display().to_string();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|octet| *octet == 0).collect();
        let has = |word: &str| words.contains(&word.as_bytes());
        if has("keeper") && has(&socket) && is_inside(node, process) {
            return Ok(Some(process));
        }
    }
    Ok(None)
}

/// Returns whether a process is in the mounts of the node's lab: other labs use the same paths.
fn is_inside(node: &LabNode<'_>, process: u32) -> bool {
    let root = fs::metadata(format!("/proc/{process}/root{}", node.directory().display()));
    let own = fs::metadata(node.directory_outside());
    root.ok().zip(own.ok()).is_some_and(|(root, own)| (root.dev(), root.ino()) == (own.dev(), own.ino()))
}
