//! Programs that run inside a host.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::host::LabHost;

impl LabHost {
    /// Returns a builder for a program to run inside the host.
    #[must_use]
    pub fn command(&self, program: &str) -> HostCommand {
        HostCommand::new(self.clone(), program)
    }

    /// Runs lines of `ip` as one batch.
    ///
    /// # Errors
    /// The first line that fails.
    pub fn ip(&self, lines: &[String]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let batch = lines.join("\n") + "\n";
        self.command("ip").args(["-batch", "-"]).feed(batch).text().map(drop)
    }
}

/// A builder for a program that runs inside a host.
#[derive(Debug)]
pub struct HostCommand {
    host: LabHost,
    command: Command,
    input: Option<String>,
}

impl HostCommand {
    fn new(host: LabHost, program: &str) -> Self {
        Self { host, command: Command::new(program), input: None }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the program's standard input.
    #[must_use]
    pub fn feed(mut self, input: String) -> Self {
        self.input = Some(input);
        self
    }

    /// Runs the program to completion.
    ///
    /// # Errors
    /// When it cannot be started; not when it fails.
    pub fn output(mut self) -> Result<Output> {
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.start()?;
        if let (Some(input), Some(mut pipe)) = (self.input, child.stdin.take()) {
            // A program that exits before it has read everything reports why.
            let _ = pipe.write_all(input.as_bytes());
        }
        Ok(child.wait_with_output()?)
    }

    /// Runs the program to completion and returns its output.
    ///
    /// # Errors
    /// When it fails; the error has its standard error.
    pub fn text(self) -> Result<String> {
        let what = format!("{}: {:?}", self.host.name(), self.command);
        let output = self.output()?;
        if !output.status.success() {
            bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts the program in the background; its output goes to `log`, a path as the test process sees it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut self, log: &Path) -> Result<Process> {
        let log = File::options().create(true).append(true).open(log)?;
        self.command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Process(self.start()?))
    }

    fn start(&mut self) -> Result<Child> {
        let Self { host, command, .. } = self;
        host.run(|| command.spawn().with_context(|| format!("{command:?}")))
    }
}

/// A program that runs inside a host, killed on drop.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Returns its process ID as the test process sees it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has exited.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).with_context(|| format!("{signal}"))
    }

    /// Gives it real-time priority, as if it had a machine of its own.
    ///
    /// # Errors
    /// When the kernel does not permit it.
    pub fn prioritize(&self) -> Result<()> {
        let set = Command::new("chrt").args(["-a", "-r", "-p", "1", &self.id().to_string()]).status()?;
        if !set.success() {
            bail!("chrt: {set}");
        }
        Ok(())
    }

    /// Returns its exit status, if it has exited.
    ///
    /// # Errors
    /// When the kernel does not report it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Waits until it exits.
    ///
    /// # Errors
    /// When it has not exited by then.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!("process {} still runs after {within:?}", self.id());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Reap it now: the lab's init cannot exit while a member of its namespace is a zombie.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
