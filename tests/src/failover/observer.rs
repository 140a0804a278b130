//! The observing router, and the log lines in which it reports a failure.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::balancer::{BALANCER_AS, ROUTER_AS};
use super::clock::TimeOfDay;
use super::read;
use crate::lab::Lab;
use crate::routers::{BfdTimers, Bird, Frr, RouterConfig, RouterDaemon, RouterPeer};

/// The observing router's implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ObserverKind {
    /// FRR.
    Frr,
    /// BIRD.
    Bird,
}

/// The lab's router. The first of its peers is the one that will fail.
pub(super) enum ObserverRouter {
    Frr(Frr),
    Bird(Bird),
}

impl ObserverKind {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frr => "FRR",
            Self::Bird => "BIRD",
        }
    }
}

impl ObserverRouter {
    pub(super) fn start(kind: ObserverKind, lab: &Lab, nodes: &[&str], bfd: BfdTimers) -> Result<Self> {
        let router = lab.router()?;
        let mut config = RouterConfig::new(ROUTER_AS, [192, 0, 2, 1].into());
        for node in nodes {
            let node = lab.node(node)?;
            let (address, own) = (node.spec().addresses().v4, node.spec().segment().gateway().v4);
            config = config.peer(RouterPeer::at(address, BALANCER_AS).source(own).bfd(bfd));
        }
        match kind {
            ObserverKind::Frr => Frr::start(&router, &config).map(Self::Frr),
            ObserverKind::Bird => Bird::start(&router, &config).map(Self::Bird),
        }
    }

    /// Fails while BGP or BFD with the peer is not up.
    pub(super) fn is_up(&self, peer: IpAddr) -> Result<()> {
        let router = self.router();
        let session = router.session(&peer.to_string())?;
        if !session.established {
            bail!("{session:?}");
        }
        match router.bfd_sessions()?.get(&peer) {
            Some(bfd) if bfd.up => Ok(()),
            other => bail!("{peer}: {other:?}"),
        }
    }

    /// Returns all times at which the BFD or BGP session with the peer ended.
    pub(super) fn ends(&self, peer: IpAddr) -> Result<Vec<TimeOfDay>> {
        Ok([self.bfd_ends(peer)?, self.bgp_ends(peer)?].concat())
    }

    /// Returns all times at which the BFD session with the peer went down.
    pub(super) fn bfd_ends(&self, peer: IpAddr) -> Result<Vec<TimeOfDay>> {
        match self {
            Self::Frr(frr) => times(&frr.log("bfdd"), &[&format!("peer:{peer} "), "up -> down"]),
            Self::Bird(bird) => {
                times(&bird.log(), &[&format!("Session to {peer} changed state from Up to Down")])
            }
        }
    }

    /// Returns all times at which the BGP session with the peer ended.
    pub(super) fn bgp_ends(&self, peer: IpAddr) -> Result<Vec<TimeOfDay>> {
        match self {
            Self::Frr(frr) => times(&frr.log("bgpd"), &[&format!(" {peer} went from Established to ")]),
            // BIRD names its protocols, here by their index.
            Self::Bird(bird) => times(&bird.log(), &[" b0: BGP session closed"]),
        }
    }

    fn router(&self) -> &dyn RouterDaemon {
        match self {
            Self::Frr(frr) => frr,
            Self::Bird(bird) => bird,
        }
    }
}

/// Returns the times of all lines with all of these words.
fn times(log: &PathBuf, words: &[&str]) -> Result<Vec<TimeOfDay>> {
    let log = read(log)?;
    let lines = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
    Ok(lines.filter_map(TimeOfDay::of).collect())
}
