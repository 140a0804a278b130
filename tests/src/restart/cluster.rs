//! The cluster below both routers.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::keeping::Keeping;
use super::route_monitor::RouteMonitor;
use super::router_log::RouterLog;
use super::vips::{STREAM_PORT, VIPS};
use crate::failover::ObserverKind;
use crate::lab::topology::{PortProtocol, PortSpec};
use crate::lab::{
    ExternalPolicy, Lab, LabAgentOptions, LabHost, LabNode, SHARED_V4, SHARED_V6, Topology, WEB_V4, WEB_V6,
    agents,
};
use crate::objects::{bfd_profile, yaml};
use crate::peers::{AGENTS_AS, PeerHost, advertisement, all_next_hops, both, node_addresses};
use crate::routers::{
    BfdTimers, Bird, Frr, GracefulRestartMode, RouterDaemon, RouterPeer, kernel_next_hops, wait,
};

/// The node whose agent fails.
pub const VICTIM: &str = "n1";
/// The hosts of the routers.
const ROUTERS: [&str; 2] = ["router", "r1"];
/// The hold time of BGP, in seconds: longer than any fault but a crash loop lasts.
const HOLD_TIME: u16 = 9;
/// How long sessions may take to come up: two retries, on a busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// How long nothing may have happened: FRR recreates its BFD session once BGP is established.
const QUIET_FOR: Duration = Duration::from_millis(1500);

/// The settings of all sessions.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// The interval of BFD, with a multiplier of three.
    pub interval: Duration,
    /// The hold time of BGP, in seconds.
    pub hold_time: u16,
    /// The routers' role in graceful restart; the agents take the other one.
    pub graceful_restart: GracefulRestartMode,
}

impl SessionSettings {
    /// Creates the settings of this interval, without graceful restart.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self { interval, hold_time: HOLD_TIME, graceful_restart: GracefulRestartMode::Off }
    }
}

/// A cluster whose routers speak BGP and BFD with all nodes.
#[derive(Debug)]
pub struct RestartCluster<'lab> {
    /// The lab.
    pub lab: &'lab Lab,
    /// The routers' logs.
    pub log: RouterLog,
    /// The routes of the routers' kernels.
    pub routes: RouteMonitor,
    /// The timers of all BFD sessions.
    pub timers: BfdTimers,
    settings: SessionSettings,
    frr: Frr,
    bird: Bird,
}

/// Returns a lab of this many nodes in one rack, with two pods each, and a router in the rack.
#[must_use]
pub fn topology(nodes: u8) -> Topology {
    let mut topology = Topology::empty().router('a', 1);
    for number in 1..=nodes {
        topology = topology.node('a', number).pods(&format!("n{number}"), "web", 2);
    }
    let mut topology = topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local).service(
        "shared",
        "web",
        &[SHARED_V4, SHARED_V6],
        ExternalPolicy::Cluster,
    );
    for service in &mut topology.services {
        let (port, protocol) = (STREAM_PORT, PortProtocol::Udp);
        service.ports.push(PortSpec { name: "stream", protocol, port, target: port });
    }
    topology
}

impl<'lab> RestartCluster<'lab> {
    /// Starts the routers and the agents, and waits until all sessions are up.
    ///
    /// # Errors
    /// When one does not start, or a session does not come up.
    pub fn start(lab: &'lab Lab, settings: SessionSettings, options: &LabAgentOptions) -> Result<Self> {
        let timers = BfdTimers::every(settings.interval);
        let places = [PeerHost::of(lab, ROUTERS[0])?, PeerHost::of(lab, ROUTERS[1])?];
        let SessionSettings { hold_time, graceful_restart, .. } = settings;
        let edit = |peer: RouterPeer| RouterPeer { hold_time, graceful_restart, ..peer.bfd(timers) };
        let config = |place: &PeerHost| place.config(lab, &edit);
        let frr = Frr::start(&places[0].host, &config(&places[0])?)?;
        let bird = Bird::start(&places[1].host, &config(&places[1])?)?;
        // Only the agents are tested: a real router does not share its processors with a cluster.
        frr.prioritize()?;
        bird.prioritize()?;
        let cluster = Self {
            log: RouterLog::new(&frr, &bird, &node_addresses(lab)?),
            routes: RouteMonitor::start(lab, [&places[0].host, &places[1].host])?,
            lab,
            timers,
            settings,
            frr,
            bird,
        };
        cluster.write_objects(|_| ())?;
        agents::start(&lab.nodes()?, options)?;
        agents::prioritize(lab)?;
        cluster.wait_settled()?;
        Ok(cluster)
    }

    /// Writes the objects that make the agents peers of the routers, with an advertisement edited by
    /// `change`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_objects(&self, change: impl Fn(&mut Value)) -> Result<()> {
        let mut objects = vec![bfd_profile("fast", self.timers), advertisement("all", change)];
        for (host, name) in ROUTERS.into_iter().zip(["frr", "bird"]) {
            let place = PeerHost::of(self.lab, host)?;
            objects.extend(place.peers(name, AGENTS_AS, |spec| {
                spec["bfdProfile"] = json!("fast");
                spec["holdTime"] = json!(format!("{}s", self.settings.hold_time));
                let restarts = self.settings.graceful_restart != GracefulRestartMode::Off;
                spec["enableGracefulRestart"] = json!(restarts);
            }));
        }
        let directory = self.lab.outside(&self.lab.manifests_directory());
        fs::write(directory.join(".bgp.draft"), yaml(&objects))?;
        Ok(fs::rename(directory.join(".bgp.draft"), directory.join("bgp.yaml"))?)
    }

    /// Returns the node whose agent fails.
    ///
    /// # Errors
    /// Never in a lab with nodes.
    pub fn victim(&self) -> Result<LabNode<'lab>> {
        self.lab.node(VICTIM)
    }

    /// Returns the host of a router.
    #[must_use]
    pub fn router(&self, kind: ObserverKind) -> &LabHost {
        self.daemon(kind).host()
    }

    /// Sends a signal to both routers: `SIGSTOP` suspends them.
    ///
    /// # Errors
    /// When one has exited.
    pub fn signal_routers(&self, signal: Signal) -> Result<()> {
        self.frr.signal(signal)?;
        self.bird.signal(signal)
    }

    /// Starts the victim's agent again, and waits until everything is up.
    ///
    /// # Errors
    /// When it does not start, or a session does not come up.
    pub fn restart_victim(&self, keeping: Keeping) -> Result<()> {
        let node = self.victim()?;
        node.kill_agent()?;
        node.start_agent(&keeping.options())?;
        agents::prioritize(self.lab)?;
        self.wait_settled()
    }

    /// Waits until both routers have all sessions and routes, and no session has changed for a while.
    ///
    /// # Errors
    /// When they do not in time.
    pub fn wait_settled(&self) -> Result<()> {
        wait(SETTLED_WITHIN, || {
            self.is_complete()?;
            let mark = self.log.mark()?;
            sleep(QUIET_FOR);
            let events = self.log.since(&mark)?;
            ensure!(events.is_empty(), "sessions change: {events:?}");
            self.is_complete()
        })
    }

    /// Fails while a session or a route of a router is missing.
    fn is_complete(&self) -> Result<()> {
        for kind in [ObserverKind::Frr, ObserverKind::Bird] {
            let daemon = self.daemon(kind);
            let (bgp, bfd) = (daemon.sessions()?, daemon.bfd_sessions()?);
            for address in node_addresses(self.lab)?.into_iter().flat_map(both) {
                let established = bgp.get(&address.to_string()).is_some_and(|it| it.established);
                let is_up = bfd.get(&address).is_some_and(|it| it.up);
                if !established || !is_up {
                    bail!("{}: {address}: established {established}, BFD up {is_up}", kind.name());
                }
            }
            for vip in VIPS {
                let (found, mut all) =
                    (kernel_next_hops(daemon.host(), vip.into())?, all_next_hops(self.lab, vip)?);
                all.sort_unstable();
                ensure!(found == all, "{}: {vip} via {found:?} instead of {all:?}", kind.name());
            }
        }
        Ok(())
    }

    fn daemon(&self, kind: ObserverKind) -> &dyn RouterDaemon {
        match kind {
            ObserverKind::Frr => &self.frr,
            ObserverKind::Bird => &self.bird,
        }
    }
}
