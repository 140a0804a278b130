//! What stands on the nodes.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::lab::{Lab, WEB_V4};
use crate::routers::{Announcement, Bfd, Bird, Config, Peer};

/// The router's autonomous system.
pub(super) const ROUTER_AS: u32 = 64_500;
/// That of all load balancers.
pub(super) const BALANCER_AS: u32 = 64_501;

/// A load balancer on one node: it announces the VIP to the lab's router, with BFD.
pub trait Balancer {
    /// Starts it on a node, in place of the one that ran there before. It need not wait for its session.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&mut self, lab: &Lab, node: &str) -> Result<()>;

    /// Sends all its processes a signal.
    ///
    /// # Errors
    /// When it does not run.
    fn signal(&mut self, signal: Signal) -> Result<()>;
}

/// BIRD as a load balancer: the yardstick.
#[derive(Debug)]
pub struct BirdBalancer {
    bfd: Bfd,
    running: Option<Bird>,
}

impl BirdBalancer {
    /// One that is not running yet.
    #[must_use]
    pub fn new(bfd: Bfd) -> Self {
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
        let peer = Peer::at(gateway, ROUTER_AS).source(own).bfd(self.bfd);
        let config = Config::new(BALANCER_AS, own).peer(peer).announce(Announcement::of(WEB_V4.into()));
        self.running = Some(Bird::start(lab.host(node)?, &config)?);
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        self.running.as_ref().context("it does not run")?.signal(signal)
    }
}
