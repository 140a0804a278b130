//! The load balancers under test.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lab::{Lab, LabAgentOptions, WEB_V4};
use crate::objects::{bfd_profile, metallb, yaml};
use crate::routers::{BfdTimers, Bird, OriginatedRoute, RouterConfig, RouterPeer};

/// The router's autonomous system.
pub(super) const ROUTER_AS: u32 = 64_500;
/// That of all load balancers.
pub(super) const BALANCER_AS: u32 = 64_501;

/// A load balancer on one node: it advertises the VIP to the lab's router, with BFD.
pub trait Balancer {
    /// Starts it on a node, replacing the previous one. It need not wait for its session.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&mut self, lab: &Lab, node: &str) -> Result<()>;

    /// Sends a signal to all its processes.
    ///
    /// # Errors
    /// When it does not run.
    fn signal(&mut self, lab: &Lab, signal: Signal) -> Result<()>;
}

/// BIRD as a load balancer: the reference.
#[derive(Debug)]
pub struct BirdBalancer {
    bfd: BfdTimers,
    running: Option<Bird>,
}

impl BirdBalancer {
    /// Creates one that is not running yet.
    #[must_use]
    pub fn new(bfd: BfdTimers) -> Self {
        Self { bfd, running: None }
    }
}

impl Balancer for BirdBalancer {
    fn start(&mut self, lab: &Lab, node: &str) -> Result<()> {
        self.running = None;
        let (own, gateway) = {
            let node = lab.node(node)?;
            (node.spec().addresses().v4, node.spec().segment().gateway().v4)
        };
        let peer = RouterPeer::at(gateway, ROUTER_AS).source(own).bfd(self.bfd);
        let config =
            RouterConfig::new(BALANCER_AS, own).peer(peer).originate(OriginatedRoute::of(WEB_V4.into()));
        self.running = Some(Bird::start(lab.host(node)?, &config)?);
        Ok(())
    }

    fn signal(&mut self, _: &Lab, signal: Signal) -> Result<()> {
        self.running.as_ref().context("it does not run")?.signal(signal)
    }
}

/// Fairlead's agent as the load balancer.
#[derive(Debug)]
pub struct AgentBalancer {
    bfd: BfdTimers,
    node: Option<String>,
}

impl AgentBalancer {
    /// Creates one that is not running yet.
    #[must_use]
    pub fn new(bfd: BfdTimers) -> Self {
        Self { bfd, node: None }
    }
}

impl Balancer for AgentBalancer {
    fn start(&mut self, lab: &Lab, node: &str) -> Result<()> {
        let handle = lab.node(node)?;
        if self.node.take().is_some() {
            // It may have exited already; the lab still has it.
            handle.kill_agent()?;
        }
        let gateway = handle.spec().segment().gateway().v4.to_string();
        let text = yaml(&objects(&gateway, self.bfd));
        fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), text)?;
        handle.launch_agent(&LabAgentOptions::without_keeper())?;
        self.node = Some(node.to_owned());
        Ok(())
    }

    fn signal(&mut self, lab: &Lab, signal: Signal) -> Result<()> {
        lab.node(self.node.as_deref().context("it does not run")?)?.signal_agent(signal)
    }
}

/// Returns the objects that make agents peers of the lab's router.
fn objects(gateway: &str, bfd: BfdTimers) -> [Value; 3] {
    let peer = json!({
        "myASN": BALANCER_AS,
        "peerASN": ROUTER_AS,
        "peerAddress": gateway,
        "holdTime": "9s",
        "connectTime": "1s",
        "bfdProfile": "router",
    });
    let advertisement = json!({ "ipAddressPools": ["lab"] });
    [
        bfd_profile("router", bfd),
        metallb("v1beta2", "BGPPeer", "router", &peer),
        metallb("v1beta1", "BGPAdvertisement", "router", &advertisement),
    ]
}
