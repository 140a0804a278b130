//! FRR as the lab's router: agents advertise to it by BGP, and it monitors them by BFD.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::lab::addresses::{HostAddresses, IpVersion};
use crate::lab::topology::LabNodeSpec;
use crate::objects::{bfd_profile, metallb, yaml};
use crate::routers::{BfdTimers, Frr, RouterConfig, RouterDaemon, RouterPeer, wait_kernel_next_hops};

/// The router's autonomous system.
const ROUTERS_AS: u32 = 4_200_000_000;
/// The nodes'.
const NODES_AS: u32 = 4_200_000_001;

/// FRR as the router of a lab.
#[derive(Debug)]
pub struct FrrRouter {
    frr: Frr,
    /// The nodes it has sessions with.
    nodes: Vec<LabNodeSpec>,
    /// Interval of BFD packets.
    interval: Duration,
}

impl FrrRouter {
    /// Starts FRR in the lab's router with a session of each family to every node of these racks, and writes
    /// the objects that configure the agents as its peers. BFD uses this interval both ways, with a
    /// multiplier of three.
    ///
    /// # Errors
    /// When FRR does not start.
    pub fn start(lab: &Lab, racks: &[char], interval: Duration) -> Result<Self> {
        let frr_router = Self::start_router(lab, racks, interval)?;
        fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), yaml(&frr_router.objects()))?;
        Ok(frr_router)
    }

    /// Starts FRR likewise, without configuring the agents.
    ///
    /// # Errors
    /// When FRR does not start.
    pub fn start_router(lab: &Lab, racks: &[char], interval: Duration) -> Result<Self> {
        let nodes: Vec<LabNodeSpec> =
            lab.topology().nodes.iter().filter(|node| racks.contains(&node.rack)).cloned().collect();
        let frr = Frr::start(&*lab.router()?, &config(&nodes, interval))?;
        Ok(Self { frr, nodes, interval })
    }

    /// Returns the objects that configure the agents as its peers.
    #[must_use]
    pub fn objects(&self) -> Vec<Value> {
        objects(&self.nodes, self.interval)
    }

    /// Returns the router.
    #[must_use]
    pub fn frr(&self) -> &Frr {
        &self.frr
    }

    /// Waits until the router's kernel has exactly these nodes as next hops of these VIPs.
    ///
    /// # Errors
    /// When it does not by then.
    pub fn wait_next_hops(&self, vips: &[IpAddr], nodes: &[&str], within: Duration) -> Result<()> {
        for vip in vips {
            let hops: Result<Vec<IpAddr>> =
                nodes.iter().map(|node| Ok(self.addresses(node)?.of(IpVersion::of(*vip)))).collect();
            wait_kernel_next_hops(self.frr.host(), IpNet::from(*vip), &hops?, within)?;
        }
        Ok(())
    }

    /// Waits until BFD is up with all addresses of these nodes.
    ///
    /// # Errors
    /// When it is not by then.
    pub fn wait_bfd_up(&self, nodes: &[&str], within: Duration) -> Result<()> {
        for node in nodes {
            for family in IpVersion::BOTH {
                self.frr.wait_bfd_up(self.addresses(node)?.of(family), within)?;
            }
        }
        Ok(())
    }

    /// Shuts the router's sessions with a node administratively, or enables them again.
    ///
    /// # Errors
    /// When the router rejects it.
    pub fn set_enabled(&self, node: &str, open: bool) -> Result<()> {
        let no = if open { "no " } else { "" };
        let addresses = self.addresses(node)?;
        let lines = IpVersion::BOTH.map(|family| format!("{no}neighbor {} shutdown", addresses.of(family)));
        self.frr.configure(&[&format!("router bgp {ROUTERS_AS}"), &lines[0], &lines[1]])
    }

    /// Returns a line for each session as the router reports it: node, peer, state, BFD.
    ///
    /// # Errors
    /// When the router does not answer.
    pub fn sessions(&self) -> Result<Vec<[String; 4]>> {
        let (bgp, bfd) = (self.frr.sessions()?, self.frr.bfd_sessions()?);
        let mut lines = Vec::new();
        for node in &self.nodes {
            for family in IpVersion::BOTH {
                let address = node.addresses().of(family);
                let up = bgp.get(&address.to_string()).is_some_and(|session| session.established);
                let watched = match bfd.get(&address) {
                    Some(session) if session.up => {
                        format!("up, {} ms", session.detection.as_millis())
                    }
                    _ => "-".to_owned(),
                };
                let state = if up { "established" } else { "down" };
                lines.push([node.name.clone(), address.to_string(), state.to_owned(), watched]);
            }
        }
        Ok(lines)
    }

    fn addresses(&self, node: &str) -> Result<HostAddresses> {
        let found = self.nodes.iter().find(|it| it.name == node);
        Ok(found.with_context(|| format!("the router does not know {node}"))?.addresses())
    }
}

fn config(nodes: &[LabNodeSpec], interval: Duration) -> RouterConfig {
    let mut config = RouterConfig::new(ROUTERS_AS, std::net::Ipv4Addr::new(10, 1, 0, 1));
    for node in nodes {
        for family in IpVersion::BOTH {
            let gateway = node.segment().gateway().of(family);
            let peer = RouterPeer::at(node.addresses().of(family), NODES_AS).source(gateway);
            config = config.peer(peer.bfd(BfdTimers::every(interval)));
        }
    }
    config
}

/// Returns a BGPPeer for each rack and family, with the BFD profile and the advertisement.
fn objects(nodes: &[LabNodeSpec], interval: Duration) -> Vec<Value> {
    let mut objects = vec![
        bfd_profile("router", BfdTimers::every(interval)),
        metallb("v1beta1", "BGPAdvertisement", "all", &json!({ "ipAddressPools": ["lab"] })),
    ];
    let mut racks: Vec<&LabNodeSpec> = Vec::new();
    for node in nodes {
        if racks.iter().all(|other| other.rack != node.rack) {
            racks.push(node);
        }
    }
    for node in racks {
        for family in IpVersion::BOTH {
            let spec = json!({
                "myASN": NODES_AS,
                "peerASN": ROUTERS_AS,
                "peerAddress": node.segment().gateway().of(family).to_string(),
                "holdTime": "9s",
                "connectTime": "1s",
                "bfdProfile": "router",
                "nodeSelectors": [{ "matchLabels": { "topology.kubernetes.io/zone": node.segment().name } }],
            });
            let name = format!("router-{}-{}", node.rack, format!("{family:?}").to_lowercase());
            objects.push(metallb("v1beta2", "BGPPeer", &name, &spec));
        }
    }
    objects
}
