//! A node of the lab: its agent and its command line.

mod uplink;

use std::ffi::OsStr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail};
use lb_dataplane::pins::Pins;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::Lab;
use super::command::Process;
use super::host::LabHost;
use super::topology::LabNodeSpec;
use super::wiring::UPLINK;

/// The node's bpffs, relative to its directory.
const BPFFS: &str = "bpf";

/// Options of an agent.
#[derive(Clone, Debug)]
pub struct LabAgentOptions {
    /// The binary; by default that of [`find_binary`].
    pub binary: Option<PathBuf>,
    /// A wrapper program and its arguments; empty: none.
    pub wrapper: Vec<String>,
    /// Whether the agent detects its uplink.
    pub finds_uplink: bool,
    /// The XDP mode: `native`, as on machines, works because the far ends of a lab's uplinks have a program.
    pub xdp_mode: &'static str,
    /// Additional arguments.
    pub arguments: Vec<String>,
    /// The kubeconfig of the cluster that its objects come from, as the node's programs see the file; without
    /// it, they come from the lab's manifests.
    pub kubeconfig: Option<PathBuf>,
    /// Additional environment variables.
    pub environment: Vec<(String, String)>,
    /// How long it may take to become ready.
    pub ready_within: Duration,
}

impl Default for LabAgentOptions {
    fn default() -> Self {
        Self {
            binary: None,
            wrapper: Vec::new(),
            finds_uplink: false,
            xdp_mode: "native",
            arguments: Vec::new(),
            kubeconfig: None,
            environment: Vec::new(),
            ready_within: Duration::from_secs(20),
        }
    }
}

impl LabAgentOptions {
    /// Returns the options of an agent without a keeper: its BGP sessions end with it.
    #[must_use]
    pub fn without_keeper() -> Self {
        Self { arguments: ["--keeper", "off"].map(str::to_owned).into(), ..Self::default() }
    }
}

/// A handle to a node.
#[derive(Debug)]
pub struct LabNode<'lab> {
    lab: &'lab Lab,
    host: &'lab LabHost,
    spec: LabNodeSpec,
}

impl<'lab> LabNode<'lab> {
    pub(super) fn of(lab: &'lab Lab, spec: LabNodeSpec) -> Result<Self> {
        Ok(Self { lab, host: lab.host(&spec.name)?, spec })
    }

    /// Returns its description.
    #[must_use]
    pub fn spec(&self) -> &LabNodeSpec {
        &self.spec
    }

    /// Returns its bpffs as its programs see it.
    #[must_use]
    pub fn bpffs(&self) -> PathBuf {
        self.host.directory().join(BPFFS)
    }

    /// Returns its agent's socket as its programs see it.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.host.directory().join("agent.sock")
    }

    /// Returns the log of its agents.
    #[must_use]
    pub fn agent_log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Starts `fairlead agent` and waits until it is ready.
    ///
    /// # Errors
    /// When one is running already, exits, or is not ready in time.
    pub fn start_agent(&self, options: &LabAgentOptions) -> Result<()> {
        self.launch_agent(options)?;
        self.wait_agent_ready(options.ready_within)
    }

    /// Starts `fairlead agent` and does not wait, so that several can start in parallel.
    ///
    /// # Errors
    /// When one is running already, or cannot be started.
    pub fn launch_agent(&self, options: &LabAgentOptions) -> Result<()> {
        let name = self.host.name();
        let mut agents = self.lab.agents();
        if agents.contains_key(name) {
            bail!("an agent is already running on {name}");
        }
        let binary = options.binary.clone().map_or_else(find_binary, Ok)?;
        let binary = binary.to_string_lossy().into_owned();
        let mut words = options.wrapper.iter().map(String::as_str).chain([binary.as_str(), "agent"]);
        let mut command = self.host.command(words.next().unwrap_or(&binary)).args(words);
        command = match &options.kubeconfig {
            Some(file) => command.arg("--kubeconfig").arg(file),
            None => command.arg("--source").arg(self.lab.manifests_directory()),
        };
        command = command.args(["--node", name]);
        if !options.finds_uplink {
            command = command.args(["--interface", UPLINK]);
        }
        command = command.args(["--xdp-mode", options.xdp_mode]);
        command = command.arg("--bpffs").arg(self.bpffs()).arg("--socket").arg(self.socket());
        command = command.args(&options.arguments);
        for (variable, value) in &options.environment {
            command = command.env(variable, value);
        }
        agents.insert(name.into(), command.spawn(&self.log_path())?);
        Ok(())
    }

    /// Waits until the agent's status has `"ready": true`.
    ///
    /// # Errors
    /// When the agent exits, or is not ready in time.
    pub fn wait_agent_ready(&self, within: Duration) -> Result<()> {
        self.wait_status("is ready", within, |status| Ok(status["ready"] == true))
    }

    /// Waits until the agent's status satisfies `expected`, which `what` describes.
    ///
    /// # Errors
    /// When the agent exits, or its status does not satisfy it in time.
    pub fn wait_status(
        &self,
        what: &str,
        within: Duration,
        expected: impl Fn(&Value) -> Result<bool>,
    ) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            let status = self.status();
            if let Ok(status) = &status
                && expected(status)?
            {
                return Ok(());
            }
            let name = self.host.name();
            if let Some(end) = self.with_agent(Process::ended)? {
                bail!("{name}: the agent exited: {end}\n{}", self.agent_log());
            }
            if Instant::now() > until {
                bail!("{name}: not within {within:?}: {what}: {status:?}\n{}", self.agent_log());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the agent's status.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.fairlead(&["status", "-o", "json"])?)?)
    }

    /// Runs a subcommand of `fairlead` against this node's agent and returns its output. `--socket` follows
    /// the subcommand's name.
    ///
    /// # Errors
    /// When it fails.
    pub fn fairlead(&self, arguments: &[&str]) -> Result<String> {
        let Some((subcommand, rest)) = arguments.split_first() else { bail!("no subcommand") };
        let binary = find_binary()?;
        let command = self.host.command(&binary.to_string_lossy()).arg(subcommand).arg("--socket");
        command.arg(self.socket()).args(rest).text()
    }

    /// Sends a signal to the agent: `SIGSTOP` suspends it, `SIGCONT` resumes it.
    ///
    /// # Errors
    /// When no agent runs.
    pub fn signal_agent(&self, signal: Signal) -> Result<()> {
        self.with_agent(|agent| agent.signal(signal))
    }

    /// Returns the agent's process ID.
    ///
    /// # Errors
    /// When no agent runs.
    pub fn agent_id(&self) -> Result<u32> {
        self.with_agent(|agent| Ok(agent.id()))
    }

    /// Stops the agent by SIGTERM and waits until it has exited.
    ///
    /// # Errors
    /// When no agent runs, or it does not exit in time.
    pub fn stop_agent(&self, within: Duration) -> Result<()> {
        self.end_agent(Signal::SIGTERM, within)
    }

    /// Waits until the agent has exited by itself, and returns its exit status.
    ///
    /// # Errors
    /// When no agent runs, or it does not exit in time.
    pub fn wait_agent_exit(&self, within: Duration) -> Result<ExitStatus> {
        let status = self.with_agent(|agent| agent.wait(within))?;
        self.lab.agents().remove(self.host.name());
        Ok(status)
    }

    /// Kills the agent by SIGKILL, so that it cannot close its sessions.
    ///
    /// # Errors
    /// When no agent runs.
    pub fn kill_agent(&self) -> Result<()> {
        self.end_agent(Signal::SIGKILL, Duration::from_secs(5))
    }

    /// Runs `fairlead detach`, which removes everything of agents from the kernel.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn detach(&self) -> Result<()> {
        let binary = find_binary()?;
        let command = self.host.command(&binary.to_string_lossy()).args(["detach", "--bpffs"]);
        command.arg(self.bpffs()).arg("--socket").arg(self.socket()).text().map(drop)
    }

    /// Returns the pins of this node as the test process sees them: they can be read while the agent is
    /// stopped.
    #[must_use]
    pub fn pins(&self) -> Pins {
        Pins::below(&self.host.directory_outside().join(BPFFS))
    }

    /// Starts an agent beside the running one, which retires, and then stops the former one, as a rolling
    /// update with a surge does.
    ///
    /// # Errors
    /// When no agent runs, the new one is not ready in time, or the former one does not retire or exit.
    pub fn surge_agent(&self, options: &LabAgentOptions) -> Result<()> {
        let name = self.host.name();
        let retirements = || self.agent_log().matches("another agent has taken over").count();
        let before = retirements();
        let mut former =
            self.lab.agents().remove(name).with_context(|| format!("no agent runs on {name}"))?;
        self.launch_agent(options)?;
        let until = Instant::now() + options.ready_within;
        while retirements() == before {
            if Instant::now() > until {
                bail!("{name}: the former agent does not retire\n{}", self.agent_log());
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.wait_agent_ready(options.ready_within)?;
        former.signal(Signal::SIGTERM)?;
        former.wait(options.ready_within).map(drop)
    }

    fn end_agent(&self, signal: Signal, within: Duration) -> Result<()> {
        self.with_agent(|agent| {
            agent.signal(signal)?;
            agent.wait(within)
        })?;
        self.lab.agents().remove(self.host.name());
        Ok(())
    }

    fn with_agent<T>(&self, job: impl FnOnce(&mut Process) -> Result<T>) -> Result<T> {
        let name = self.host.name();
        let mut agents = self.lab.agents();
        job(agents.get_mut(name).with_context(|| format!("no agent runs on {name}"))?)
    }

    fn log_path(&self) -> PathBuf {
        self.host.directory_outside().join("agent.log")
    }
}

impl Deref for LabNode<'_> {
    type Target = LabHost;

    fn deref(&self) -> &LabHost {
        self.host
    }
}

/// Finds the product's binary: `FAIRLEAD_BIN`, or the one that cargo built beside this program.
///
/// # Errors
/// When there is none.
pub fn find_binary() -> Result<PathBuf> {
    if let Some(binary) = env::var_os("FAIRLEAD_BIN") {
        return Ok(binary.into());
    }
    let own = env::current_exe()?;
    let mut directory = own.parent().context("this program has no directory")?;
    // Tests and examples lie one level below the binaries.
    if directory.file_name() == Some(OsStr::new("deps")) {
        directory = directory.parent().unwrap_or(Path::new("/"));
    }
    let binary = directory.join("fairlead");
    if !binary.exists() {
        bail!("{} is missing: build it, or name it in FAIRLEAD_BIN", binary.display());
    }
    Ok(binary)
}
