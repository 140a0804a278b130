//! A thread of an agent that hangs.

use std::fs;

use anyhow::{Context, Result, bail};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::lab::LabNode;

/// A thread stopped as by a debugger; it continues on drop.
#[derive(Debug)]
pub struct StoppedThread(Pid);

impl StoppedThread {
    /// Stops the thread with this name of the node's agent.
    ///
    /// # Errors
    /// When there is none, or it cannot be stopped.
    pub fn of_agent(node: &LabNode<'_>, name: &str) -> Result<Self> {
        for task in fs::read_dir(format!("/proc/{}/task", node.agent_id()?))? {
            let path = task?.path();
            if fs::read_to_string(path.join("comm"))?.trim() == name {
                let id = path.file_name().and_then(|id| id.to_str()).context("no thread ID")?;
                let thread = Pid::from_raw(id.parse()?);
                ptrace::attach(thread)?;
                waitpid(thread, Some(WaitPidFlag::__WALL))?;
                return Ok(Self(thread));
            }
        }
        bail!("no thread named {name}")
    }
}

impl Drop for StoppedThread {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}
