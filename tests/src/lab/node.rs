//! A node of the cluster: its uplink, its agent, its command line.

use std::ffi::OsStr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail};
use lb_dataplane::pins::Pins;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::Lab;
use super::command::Process;
use super::host::LabHost;
use super::topology::LabNodeSpec;
use super::wiring::{self, UPLINK};

/// A node's own bpffs, below its directory.
const BPFFS: &str = "bpf";

/// How an agent is started.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Program and arguments that start it; empty: nobody between.
    pub wrapper: Vec<String>,
    /// Whether it is to find its uplink by itself.
    pub finds_uplink: bool,
    /// How its program runs: the far ends of a lab's uplinks have a program, so `native` does, which is what machines
    /// have.
    pub xdp_mode: &'static str,
    /// Arguments after the ones that every agent of a lab gets.
    pub arguments: Vec<String>,
    /// The cluster that its objects come from, as the node's programs see the file; without it, they come from
    /// the lab's manifests.
    pub kubeconfig: Option<PathBuf>,
    /// Additions to its environment.
    pub environment: Vec<(String, String)>,
    /// How long it may take until it says that it is ready.
    pub ready_within: Duration,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
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

/// A handle to one node.
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

    /// Its description.
    #[must_use]
    pub fn spec(&self) -> &LabNodeSpec {
        &self.spec
    }

    /// Its own bpffs, as its programs see it.
    #[must_use]
    pub fn bpffs(&self) -> PathBuf {
        self.host.directory().join(BPFFS)
    }

    /// Its agent's socket, as its programs see it.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.host.directory().join("agent.sock")
    }

    /// What its agents have logged so far.
    #[must_use]
    pub fn agent_log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Starts `fairlead agent` and waits until it is ready.
    ///
    /// # Errors
    /// When it runs already, ends, or is not ready in time.
    pub fn start_agent(&self, options: &AgentOptions) -> Result<()> {
        self.launch_agent(options)?;
        self.wait_agent_ready(options.ready_within)
    }

    /// Starts `fairlead agent` and does not wait, so that several can start side by side.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn launch_agent(&self, options: &AgentOptions) -> Result<()> {
        let name = self.host.name();
        let mut agents = self.lab.agents();
        if agents.contains_key(name) {
            bail!("an agent runs on {name} already");
        }
        let binary = find_binary()?.to_string_lossy().into_owned();
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

    /// Waits until the agent's status says `"ready": true`.
    ///
    /// # Errors
    /// When the agent ends or is not ready in time.
    pub fn wait_agent_ready(&self, within: Duration) -> Result<()> {
        self.wait_status("is ready", within, |status| Ok(status["ready"] == true))
    }

    /// Waits until the agent says of itself what is `wanted`, which is called `what`.
    ///
    /// # Errors
    /// When the agent ends, or does not say so in time.
    pub fn wait_status(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> Result<bool>,
    ) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            let status = self.status();
            if let Ok(status) = &status
                && wanted(status)?
            {
                return Ok(());
            }
            let name = self.host.name();
            if let Some(end) = self.with_agent(Process::ended)? {
                bail!("{name}: the agent ended: {end}\n{}", self.agent_log());
            }
            if Instant::now() > until {
                bail!(
                    "{name}: after {within:?} it is not so that it {what}: {status:?}\n{}",
                    self.agent_log()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The agent's status.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.fairlead(&["status", "-o", "json"])?)?)
    }

    /// Runs a subcommand of `fairlead` against this node's agent and returns what it printed. `--socket`
    /// follows the subcommand's name.
    ///
    /// # Errors
    /// When it fails.
    pub fn fairlead(&self, arguments: &[&str]) -> Result<String> {
        let Some((subcommand, rest)) = arguments.split_first() else { bail!("no subcommand") };
        let binary = find_binary()?;
        let command = self.host.command(&binary.to_string_lossy()).arg(subcommand).arg("--socket");
        command.arg(self.socket()).args(rest).text()
    }

    /// Sends the agent a signal: `SIGSTOP` starves it, `SIGCONT` lets it go on.
    ///
    /// # Errors
    /// When no agent runs.
    pub fn signal_agent(&self, signal: Signal) -> Result<()> {
        self.with_agent(|agent| agent.signal(signal))
    }

    /// The agent's process.
    ///
    /// # Errors
    /// When no agent runs.
    pub fn agent_id(&self) -> Result<u32> {
        self.with_agent(|agent| Ok(agent.id()))
    }

    /// Asks the agent to end and waits until it has.
    ///
    /// # Errors
    /// When no agent runs, or it does not end in time.
    pub fn stop_agent(&self, within: Duration) -> Result<()> {
        self.end_agent(Signal::SIGTERM, within)
    }

    /// Kills the agent: it gets no chance to say anything.
    ///
    /// # Errors
    /// When no agent runs.
    pub fn kill_agent(&self) -> Result<()> {
        self.end_agent(Signal::SIGKILL, Duration::from_secs(5))
    }

    /// Takes everything out of the kernel that agents have put there.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn detach(&self) -> Result<()> {
        let binary = find_binary()?;
        let command = self.host.command(&binary.to_string_lossy()).args(["detach", "--bpffs"]);
        command.arg(self.bpffs()).text().map(drop)
    }

    /// What the program of this node has pinned, as the test process sees it: it can be read while the agent
    /// stands still.
    #[must_use]
    pub fn pins(&self) -> Pins {
        Pins::below(&self.host.directory_outside().join(BPFFS))
    }

    /// Pulls the cable: both ends of the uplink lose their carrier.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn cut_link(&self) -> Result<()> {
        self.set_switch_port("down")
    }

    /// Plugs the cable in again.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn restore_link(&self) -> Result<()> {
        self.set_switch_port("up")
    }

    /// Deletes the uplink and makes another one of the same name: a driver that is loaded again, a bond or VLAN that
    /// the network's manager makes anew. Addresses and routes are as before, the index and the MAC are others.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remake_uplink(&self) -> Result<()> {
        self.delete_uplink()?;
        self.make_uplink(UPLINK)?;
        self.configure_uplink(UPLINK)
    }

    /// Deletes the uplink.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_uplink(&self) -> Result<()> {
        self.host.ip(&[format!("link del {UPLINK}")])
    }

    /// Makes an interface of this name that is wired as the uplink was, without addresses and down.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn make_uplink(&self, name: &str) -> Result<()> {
        let switch = self.lab.host(&self.spec.segment().switch())?;
        self.lab.wire_port(self.host, name, switch, self.host.name())
    }

    /// Gives an interface the uplink's addresses and routes, and has it up.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn configure_uplink(&self, name: &str) -> Result<()> {
        let topology = self.lab.topology();
        self.host.ip(&wiring::node_uplink(&topology, &self.spec, name))
    }

    /// Gives the uplink its IPv6 address and its routes, which the kernel takes from an interface that is down.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn configure_routes(&self) -> Result<()> {
        let topology = self.lab.topology();
        let name = self.uplink()?;
        let lines = wiring::node_uplink(&topology, &self.spec, &name);
        let lines: Vec<String> = lines.iter().map(|line| line.replace(" add ", " replace ")).collect();
        self.host.ip(&lines)
    }

    /// Adds a second port on the same switch: an interface without addresses, which is up.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add_port(&self, name: &str) -> Result<()> {
        let switch = self.lab.host(&self.spec.segment().switch())?;
        let far = format!("{}-{name}", self.host.name());
        self.lab.wire_port(self.host, name, switch, &far)?;
        self.host.ip(&[format!("link set {name} up")])
    }

    /// What the interface with the node's address is called.
    fn uplink(&self) -> Result<String> {
        let address = self.spec.addresses().v4.to_string();
        let text = self.host.command("ip").args(["-brief", "address", "show", "to", &address]).text()?;
        let name = text.split(['@', ' ']).next().filter(|name| !name.is_empty());
        name.map(str::to_owned).context("no interface has the node's address")
    }

    /// Unmounts the node's bpffs.
    ///
    /// # Errors
    /// When it is not mounted.
    pub fn unmount_bpffs(&self, flags: MntFlags) -> Result<()> {
        let bpffs = self.bpffs();
        self.host.run(|| umount2(&bpffs, flags).context("unmount the bpffs"))
    }

    /// Mounts a new bpffs where the node's was.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn mount_bpffs(&self) -> Result<()> {
        let bpffs = self.bpffs();
        self.host.run(|| {
            fs::create_dir_all(&bpffs)?;
            let none = None::<&str>;
            mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), none).context("mount a bpffs")
        })
    }

    fn set_switch_port(&self, state: &str) -> Result<()> {
        let switch = self.lab.host(&self.spec.segment().switch())?;
        switch.ip(&[format!("link set {} {state}", self.host.name())])
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

/// The product's binary: `FAIRLEAD_BIN`, or the one that cargo built beside this program.
///
/// # Errors
/// When there is none.
pub fn find_binary() -> Result<PathBuf> {
    if let Some(binary) = env::var_os("FAIRLEAD_BIN") {
        return Ok(binary.into());
    }
    let own = env::current_exe()?;
    let mut directory = own.parent().context("this program is nowhere")?;
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
