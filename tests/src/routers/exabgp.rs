//! ExaBGP, which has no table: it prints every event as a line of JSON, from which the table is built.

mod events;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::Result;
use ipnet::IpNet;

use super::RouterDaemon;
use super::config::RouterConfig;
use super::view::{BfdSessionView, BgpSessionView, RouteView};
use crate::lab::{LabHost, Process};

/// ExaBGP's event helper. ExaBGP considers a helper that closes its output dead, and restarts it.
const HELPER: &str = "#!/bin/sh\nexec 3>&1\nexec cat >>\"$1\"\n";

/// ExaBGP in a host. It does not install routes into the kernel.
#[derive(Debug)]
pub struct Exabgp {
    host: LabHost,
    _process: Process,
}

impl Exabgp {
    /// Starts ExaBGP.
    ///
    /// # Errors
    /// When ExaBGP is not installed, or does not support the configuration.
    pub fn start(host: &LabHost, config: &RouterConfig) -> Result<Self> {
        let directory = host.directory();
        let (file, helper) = (directory.join("exabgp.conf"), directory.join("exabgp-events"));
        let text =
            text::config_file(config, &format!("{} {}", helper.display(), events_file(host).display()))?;
        host.run(|| {
            fs::write(&file, &text)?;
            fs::write(&helper, HELPER)?;
            Ok(fs::set_permissions(&helper, fs::Permissions::from_mode(0o755))?)
        })?;
        let mut command = host.command("exabgp").arg(&file).env("TZ", "UTC");
        for (variable, value) in [
            ("exabgp.daemon.user", "root"),
            ("exabgp.api.cli", "false"),
            ("exabgp.api.ack", "false"),
            ("exabgp.log.destination", "stdout"),
        ] {
            command = command.env(variable, value);
        }
        let listening = listening_addresses(config);
        if !listening.is_empty() {
            command = command.env("exabgp.tcp.bind", listening).env("exabgp.tcp.port", "179");
        }
        let process = command.spawn(&host.directory_outside().join("exabgp.log"))?;
        Ok(Self { host: host.clone(), _process: process })
    }

    /// Builds the table from the events so far.
    fn table(&self) -> events::EventTable {
        let name = events_file(&self.host);
        let file = self.host.directory_outside().join(name.file_name().unwrap_or_default());
        events::EventTable::of(&fs::read_to_string(file).unwrap_or_default())
    }
}

impl RouterDaemon for Exabgp {
    fn host(&self) -> &LabHost {
        &self.host
    }

    fn sessions(&self) -> Result<BTreeMap<String, BgpSessionView>> {
        Ok(self.table().sessions())
    }

    fn routes(&self, prefix: IpNet) -> Result<Vec<RouteView>> {
        Ok(self.table().routes(prefix))
    }

    fn bfd_sessions(&self) -> Result<BTreeMap<IpAddr, BfdSessionView>> {
        Ok(BTreeMap::new())
    }
}

/// Returns the addresses to listen on for passive peers, separated by spaces as ExaBGP expects.
fn listening_addresses(config: &RouterConfig) -> String {
    let passive = config.peers.iter().filter(|peer| peer.passive);
    let sources: BTreeSet<IpAddr> = passive.filter_map(|peer| peer.source).collect();
    sources.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
}

fn events_file(host: &LabHost) -> PathBuf {
    host.directory().join("exabgp.json")
}
