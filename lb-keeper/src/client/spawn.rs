//! Starting a keeper.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time between two starts at least.
const PAUSE: Duration = Duration::from_secs(2);

/// How to start a keeper.
#[derive(Clone, Debug)]
pub struct SpawnOptions {
    /// The program `fairlead`; `None`: this program.
    pub program: Option<PathBuf>,
    /// How long the keeper keeps streams without an agent, in whole seconds.
    pub bound: Duration,
    /// Further arguments.
    pub arguments: Vec<String>,
}

/// The last keeper that was started.
#[derive(Debug, Default)]
pub(super) struct Spawner {
    child: Option<Child>,
    last: Option<Instant>,
}

impl Spawner {
    /// Starts a keeper, unless one was started a moment ago; returns whether it did.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub(super) fn spawn(&mut self, socket: &Path, options: &SpawnOptions) -> io::Result<bool> {
        // It has exited if it does not listen; this takes its exit status.
        let is_running = self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if is_running || self.last.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(false);
        }
        self.last = Some(Instant::now());
        let program = options.program.clone().unwrap_or_else(this_program);
        let child = Command::new(program)
            .arg("keeper")
            .arg("--socket")
            .arg(socket)
            .arg("--bound")
            .arg(options.bound.as_secs().max(1).to_string())
            .arg("--exit-when-idle")
            .args(&options.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        tracing::info!(pid = child.id(), "started a keeper");
        self.child = Some(child);
        Ok(true)
    }
}

/// Returns the program's path, or a path that works after an upgrade has replaced the file.
fn this_program() -> PathBuf {
    let path = std::env::current_exe().ok().filter(|path| path.exists());
    path.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}
