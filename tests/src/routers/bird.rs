//! BIRD 2, queried through `birdc`, whose output is for humans.

mod printed;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use nix::sys::signal::Signal;

use super::config::RouterConfig;
use super::view::{BfdSessionView, BgpSessionView, RouteView};
use super::{RouterDaemon, wait};
use crate::lab::{LabHost, Process};

/// How long BIRD may take to open its command line.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to withdraw its routes and exit.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// BIRD in a host.
#[derive(Debug)]
pub struct Bird {
    host: LabHost,
    process: Process,
}

impl Bird {
    /// Starts it and waits until it answers queries.
    ///
    /// # Errors
    /// When BIRD is not installed, exits, or does not answer in time.
    pub fn start(host: &LabHost, config: &RouterConfig) -> Result<Self> {
        let file = host.directory().join("bird.conf");
        let log = host.directory().join("bird.log");
        let text = text::config_file(config, &log.to_string_lossy());
        host.run(|| Ok(fs::write(&file, &text)?))?;
        let command = host.command("bird").args(["-f", "-c"]).arg(&file).arg("-s").arg(socket(host));
        let process = command.env("TZ", "UTC").spawn(&host.directory_outside().join("bird-start.log"))?;
        let mut bird = Self { host: host.clone(), process };
        bird.wait_ready()?;
        Ok(bird)
    }

    /// Returns the output of a `birdc` command.
    ///
    /// # Errors
    /// When it fails.
    pub fn birdc(&self, command: &str) -> Result<String> {
        self.host.command("birdc").arg("-s").arg(socket(&self.host)).arg(command).text()
    }

    /// Sends it a signal: `SIGSTOP` suspends it, `SIGCONT` resumes it, `SIGKILL` kills it without a shutdown.
    ///
    /// # Errors
    /// When it has exited.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Gives it real-time priority, as if the router had a machine of its own.
    ///
    /// # Errors
    /// When the kernel does not permit it.
    pub fn prioritize(&self) -> Result<()> {
        self.process.prioritize()
    }

    /// Stops it as an operator would: sessions are closed, routes withdrawn.
    ///
    /// # Errors
    /// When it does not exit.
    pub fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(ENDED_WITHIN).map(drop)
    }

    /// Returns its log as the test process sees it.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.host.directory_outside().join("bird.log")
    }

    fn wait_ready(&mut self) -> Result<()> {
        let asked = wait(READY_WITHIN, || self.birdc("show status"));
        if let Some(end) = self.process.ended()? {
            let said = fs::read_to_string(self.host.directory_outside().join("bird-start.log"));
            bail!("bird exited: {end}\n{}", said.unwrap_or_default());
        }
        asked.map(drop).context("bird does not answer")
    }
}

impl RouterDaemon for Bird {
    fn host(&self) -> &LabHost {
        &self.host
    }

    fn sessions(&self) -> Result<BTreeMap<String, BgpSessionView>> {
        Ok(printed::sessions(&self.birdc("show protocols all")?))
    }

    fn routes(&self, prefix: IpNet) -> Result<Vec<RouteView>> {
        // The exit code is the same for an unknown prefix and a wrong command.
        let printed = self.birdc(&format!("show route all {prefix}"))?;
        if printed.contains("syntax error") {
            bail!("{prefix}: {printed}");
        }
        Ok(printed::routes(&printed))
    }

    fn bfd_sessions(&self) -> Result<BTreeMap<IpAddr, BfdSessionView>> {
        Ok(printed::bfd_sessions(&self.birdc("show bfd sessions")?))
    }
}

fn socket(host: &LabHost) -> PathBuf {
    host.directory().join("bird.sock")
}
