//! FRR: zebra, bfdd and bgpd under an instance name (`-N`), queried through `vtysh`.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;
use nix::sys::signal::Signal;
use nix::unistd::User;
use serde_json::Value;

use super::config::RouterConfig;
use super::view::{self, BfdSessionView, BgpSessionView, Capability, RouteOrigin, RouteView};
use super::{RouterDaemon, wait};
use crate::lab::addresses::IpVersion;
use crate::lab::{LabHost, Process};

/// Debian's directory of the daemons.
const DAEMONS: &str = "/usr/lib/frr";
/// The user that the daemons run as.
const USER: &str = "frr";
/// How long a daemon may take to open its command line.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// FRR in a host. Its instance name is the host's; a lab has its own `/run` and `/etc/frr`, so equal names in
/// two labs do not collide, and no files remain.
#[derive(Debug)]
pub struct Frr {
    host: LabHost,
    daemons: BTreeMap<&'static str, Process>,
}

impl Frr {
    /// Starts it and waits until it answers queries.
    ///
    /// # Errors
    /// When FRR is not installed, exits, or does not answer in time.
    pub fn start(host: &LabHost, config: &RouterConfig) -> Result<Self> {
        let mut frr = Self { host: host.clone(), daemons: BTreeMap::new() };
        frr.prepare()?;
        for (name, text) in
            [("zebra", text::zebra(config)), ("bfdd", text::bfdd(config)), ("bgpd", text::bgpd(config))]
        {
            frr.launch(name, &text)?;
            frr.wait_ready(name)?;
        }
        Ok(frr)
    }

    /// Returns the output of a `vtysh` command.
    ///
    /// # Errors
    /// When it fails.
    pub fn vtysh(&self, command: &str) -> Result<String> {
        self.host.command("vtysh").args(["-N", self.host.name(), "-c", command]).text()
    }

    /// Changes the running configuration: lines as after `configure terminal`.
    ///
    /// # Errors
    /// When FRR rejects one.
    pub fn configure(&self, lines: &[&str]) -> Result<()> {
        let mut vtysh = self.host.command("vtysh").args(["-N", self.host.name(), "-c", "configure terminal"]);
        for line in lines {
            vtysh = vtysh.args(["-c", line]);
        }
        let printed = vtysh.text()?;
        ensure!(!printed.contains('%'), "{lines:?}: {printed}");
        Ok(())
    }

    /// Sends a signal to all daemons: `SIGSTOP` suspends the router, `SIGCONT` resumes it.
    ///
    /// # Errors
    /// When one has exited.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.daemons.values().try_for_each(|daemon| daemon.signal(signal))
    }

    /// Gives all daemons real-time priority, as if the router had a machine of its own.
    ///
    /// # Errors
    /// When the kernel does not permit it.
    pub fn prioritize(&self) -> Result<()> {
        self.daemons.values().try_for_each(Process::prioritize)
    }

    /// Returns the log of one daemon (`zebra`, `bgpd`, `bfdd`) as the test process sees it.
    #[must_use]
    pub fn log(&self, daemon: &str) -> PathBuf {
        self.host.directory_outside().join(log_name(daemon))
    }

    /// Creates the directories that `-N` needs; the daemons must be able to write there.
    fn prepare(&self) -> Result<()> {
        let name = self.host.name();
        self.host.run(|| {
            for base in ["/run/frr", "/etc/frr"] {
                let own = Path::new(base).join(name);
                fs::create_dir_all(&own)?;
                give_to_daemons(Path::new(base))?;
                give_to_daemons(&own)?;
            }
            // vtysh complains about a missing file, but not about an empty one.
            File::create(Path::new("/etc/frr").join(name).join("vtysh.conf"))?;
            Ok(())
        })
    }

    fn launch(&mut self, name: &'static str, text: &str) -> Result<()> {
        let file = self.host.directory().join(format!("{name}.conf"));
        let log = self.host.directory().join(log_name(name));
        // The timestamp precision applies only to a log named in the configuration file.
        let text = format!("log timestamp precision 6\nlog file {} debugging\n{text}", log.display());
        self.host.run(|| {
            fs::write(&file, text)?;
            File::options().create(true).append(true).open(&log)?;
            give_to_daemons(&log)
        })?;
        let mut command = self.host.command(&format!("{DAEMONS}/{name}")).env("TZ", "UTC");
        command = command.args(["-N", self.host.name(), "-f"]).arg(&file);
        if name == "zebra" {
            // As the package starts it: a burst of netlink messages must not overrun the socket.
            command = command.args(["-s", "8388608"]);
        }
        let process = command.spawn(&self.host.directory_outside().join("frr.log"))?;
        self.daemons.insert(name, process);
        Ok(())
    }

    fn wait_ready(&mut self, name: &'static str) -> Result<()> {
        let asked = wait(READY_WITHIN, || {
            let vtysh = self.host.command("vtysh").args(["-N", self.host.name(), "-d", name]);
            vtysh.args(["-c", "show version"]).text()
        });
        if let Some(end) = self.daemons.get_mut(name).map(Process::ended).transpose()?.flatten() {
            let said = fs::read_to_string(self.host.directory_outside().join("frr.log")).unwrap_or_default();
            bail!("{name} exited: {end}\n{said}");
        }
        asked.map(drop).with_context(|| format!("{name} does not answer"))
    }

    fn json(&self, command: &str) -> Result<Value> {
        let printed = self.vtysh(command)?;
        serde_json::from_str(&printed).with_context(|| format!("`{command}`: {printed}"))
    }
}

impl RouterDaemon for Frr {
    fn host(&self) -> &LabHost {
        &self.host
    }

    fn sessions(&self) -> Result<BTreeMap<String, BgpSessionView>> {
        let printed = self.json("show bgp neighbors json")?;
        let all = printed.as_object().context("no object")?;
        // The object has global entries beside the peers.
        let all = all.iter().filter(|(_, value)| value.get("bgpState").is_some());
        Ok(all.map(|(name, value)| (name.clone(), session(value))).collect())
    }

    fn routes(&self, prefix: IpNet) -> Result<Vec<RouteView>> {
        let family = if IpVersion::of(prefix.addr()) == IpVersion::V4 { "ipv4" } else { "ipv6" };
        let printed = self.json(&format!("show bgp {family} unicast {prefix} json"))?;
        Ok(printed["paths"].as_array().into_iter().flatten().map(route).collect())
    }

    fn bfd_sessions(&self) -> Result<BTreeMap<IpAddr, BfdSessionView>> {
        let printed = self.json("show bfd peers json")?;
        let peers = printed.as_array().into_iter().flatten();
        peers
            .map(|peer| Ok((peer["peer"].as_str().context("a peer without address")?.parse()?, bfd(peer))))
            .collect()
    }
}

fn log_name(daemon: &str) -> String {
    format!("{daemon}.log")
}

/// Lets the daemons write to a file or directory.
fn give_to_daemons(path: &Path) -> Result<()> {
    let user = User::from_name(USER)?.with_context(|| format!("no user {USER}: is FRR installed?"))?;
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).with_context(|| path.display().to_string())
}

/// FRR's names of capabilities.
const CAPABILITIES: [(&str, Capability); 8] = [
    ("4byteAs", Capability::FourOctetAsn),
    ("routeRefresh", Capability::RouteRefresh),
    ("enhancedRouteRefresh", Capability::EnhancedRouteRefresh),
    ("gracefulRestart", Capability::GracefulRestart),
    ("longLivedGracefulRestart", Capability::LongLivedGracefulRestart),
    ("extendedMessage", Capability::ExtendedMessage),
    ("extendedNexthop", Capability::ExtendedNextHop),
    ("addPath", Capability::AddPath),
];

fn session(value: &Value) -> BgpSessionView {
    let offered = &value["neighborCapabilities"];
    let families = [("ipv4Unicast", IpVersion::V4), ("ipv6Unicast", IpVersion::V6)];
    let both = |name: &str| offered["multiprotocolExtensions"][name]["advertisedAndReceived"] == true;
    let capabilities = CAPABILITIES.into_iter().filter(|(name, _)| is_received(&offered[*name]));
    let mut capabilities: BTreeSet<Capability> = capabilities.map(|(_, capability)| capability).collect();
    if offered["hostName"].get("rcvHostName").is_some() {
        capabilities.insert(Capability::HostName);
    }
    BgpSessionView {
        established: value["bgpState"] == "Established",
        asn: number(&value["remoteAs"]).unwrap_or_default(),
        router_id: value["remoteRouterId"].as_str().and_then(|id| id.parse().ok()),
        hold_time: milliseconds(&value["bgpTimerHoldTimeMsecs"]).unwrap_or_default(),
        families: families.into_iter().filter(|(name, _)| both(name)).map(|(_, family)| family).collect(),
        restart_time: milliseconds(&offered["gracefulRestartRemoteTimerMsecs"])
            .filter(|_| capabilities.contains(&Capability::GracefulRestart)),
        capabilities,
    }
}

/// Parses a word such as `advertisedAndReceivedNew`, or an object with such a key for each family.
fn is_received(value: &Value) -> bool {
    value.to_string().contains("Received")
}

fn route(path: &Value) -> RouteView {
    let from = path["peer"]["peerId"].as_str().and_then(|peer| peer.parse().ok());
    let hops = path["nexthops"].as_array().into_iter().flatten();
    let as_path = path["aspath"]["string"].as_str().unwrap_or_default();
    RouteView {
        // For its own routes FRR prints `::` or `0.0.0.0`.
        from: from.filter(|peer: &IpAddr| !peer.is_unspecified()),
        next_hops: hops.filter_map(|hop| hop["ip"].as_str()?.parse().ok()).collect(),
        as_path: view::numbers(as_path),
        origin: RouteOrigin::parse(path["origin"].as_str().unwrap_or_default()),
        med: number(&path["metric"]),
        local_pref: number(&path["locPrf"]),
        communities: view::communities(path["community"]["string"].as_str().unwrap_or_default()),
        large_communities: view::large_communities(
            path["largeCommunity"]["string"].as_str().unwrap_or_default(),
        ),
    }
}

/// Parses a BFD session. RFC 5880 6.8.4: the detection time is the remote multiplier times the slower of its
/// transmit and our receive interval.
fn bfd(peer: &Value) -> BfdSessionView {
    let interval = |key: &str| milliseconds(&peer[key]).unwrap_or_default();
    let received = interval("receive-interval").max(interval("remote-transmit-interval"));
    BfdSessionView {
        up: peer["status"] == "up",
        transmit: interval("transmit-interval").max(interval("remote-receive-interval")),
        detection: received * number(&peer["remote-detect-multiplier"]).unwrap_or_default(),
        multihop: peer["multihop"].as_bool(),
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| number.try_into().ok())
}

fn milliseconds(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}
