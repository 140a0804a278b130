//! Routers as BGP peers of all agents of a lab: both sides of every session from one description.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::lab::addresses::{HostAddresses, IpVersion};
use crate::lab::{Lab, LabAgentOptions, LabHost, agents};
use crate::objects::{metallb, yaml};
use crate::routers::{RouterConfig, RouterPeer};

/// The routers' autonomous system, one of four octets.
pub const ROUTERS_AS: u32 = 4_200_000_000;
/// The agents'.
pub const AGENTS_AS: u32 = 4_200_000_001;
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A change of a BGPPeer's spec.
pub type PeerEdit = fn(&mut Value);
/// The same change on the router's side.
pub type RouterPeerEdit = fn(RouterPeer) -> RouterPeer;

/// A host that runs a router, and its addresses.
#[derive(Debug)]
pub struct PeerHost {
    /// The host.
    pub host: LabHost,
    /// Its addresses.
    pub addresses: HostAddresses,
}

impl PeerHost {
    /// Finds a router of the topology, or the lab's own.
    ///
    /// # Errors
    /// When there is no such host, or no node.
    pub fn of(lab: &Lab, name: &str) -> Result<Self> {
        let gateway = lab.nodes()?.first().context("no node")?.spec().segment().gateway();
        let addresses = lab.topology().find_router(name).map_or(gateway, |router| router.addresses());
        Ok(Self { host: lab.host(name)?.clone(), addresses })
    }

    /// Returns the router's configuration: sessions of both families with all nodes, edited by `edit`.
    ///
    /// # Errors
    /// When a node is not there.
    pub fn config(&self, lab: &Lab, edit: &dyn Fn(RouterPeer) -> RouterPeer) -> Result<RouterConfig> {
        let mut config = RouterConfig::new(ROUTERS_AS, self.addresses.v4);
        for addresses in node_addresses(lab)? {
            for family in IpVersion::BOTH {
                let peer = RouterPeer::at(addresses.of(family), AGENTS_AS).source(self.addresses.of(family));
                config = config.peer(edit(peer));
            }
        }
        Ok(config)
    }

    /// Returns the agents' configuration: one BGPPeer for each family.
    pub fn peers(&self, name: &str, my_asn: u32, change: impl Fn(&mut Value)) -> Vec<Value> {
        let peer = |family: IpVersion| {
            let mut spec = json!({
                "myASN": my_asn,
                "peerASN": ROUTERS_AS,
                "peerAddress": self.addresses.of(family).to_string(),
                "holdTime": "9s",
                "keepaliveTime": "3s",
                "connectTime": "1s",
            });
            change(&mut spec);
            let family = format!("{family:?}").to_lowercase();
            metallb("v1beta2", "BGPPeer", &format!("{name}-{family}"), &spec)
        };
        IpVersion::BOTH.map(peer).into()
    }
}

/// Returns both addresses of a host.
#[must_use]
pub fn both(addresses: HostAddresses) -> [IpAddr; 2] {
    IpVersion::BOTH.map(|family| addresses.of(family))
}

/// Returns the addresses of all nodes.
///
/// # Errors
/// When a node is not there.
pub fn node_addresses(lab: &Lab) -> Result<Vec<HostAddresses>> {
    Ok(lab.nodes()?.iter().map(|node| node.spec().addresses()).collect())
}

/// Returns all nodes as next hops of an address.
///
/// # Errors
/// When a node is not there.
pub fn all_next_hops(lab: &Lab, vip: IpAddr) -> Result<Vec<IpAddr>> {
    Ok(node_addresses(lab)?.into_iter().map(|addresses| addresses.of(IpVersion::of(vip))).collect())
}

/// Returns an advertisement of the lab's pool, edited by `change`.
pub fn advertisement(name: &str, change: impl Fn(&mut Value)) -> Value {
    let mut spec = json!({ "ipAddressPools": ["lab"] });
    change(&mut spec);
    metallb("v1beta1", "BGPAdvertisement", name, &spec)
}

/// Gives the agents these objects in addition to the lab's own, and starts them.
///
/// # Errors
/// When an agent does not start.
pub fn start_agents(lab: &Lab, objects: &[Value]) -> Result<()> {
    fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), yaml(objects))?;
    agents::start(
        &lab.nodes()?,
        &LabAgentOptions { ready_within: READY_WITHIN, ..LabAgentOptions::default() },
    )
}
