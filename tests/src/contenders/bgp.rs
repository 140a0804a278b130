//! BGP between the nodes and the router: FRR at the router, and FRR or Fairlead's agent on the nodes.

use std::fs;
use std::net::IpAddr;

use anyhow::Result;
use ipnet::IpNet;
use serde_json::json;

use super::{Attraction, Contender, ContenderSettings};
use crate::lab::Lab;
use crate::objects::{bfd_profile, metallb, yaml};
use crate::routers::{BfdTimers, Frr, OriginatedRoute, RouterConfig, RouterPeer};

/// The router's autonomous system.
const ROUTER_AS: u32 = 64_500;
/// The nodes'.
const NODES_AS: u32 = 64_501;

/// What BGP needs to know of a set-up.
#[derive(Clone, Debug)]
pub(super) struct BgpSettings {
    vip: IpAddr,
    hold_time: u16,
    bfd: Option<BfdTimers>,
    settings: ContenderSettings,
}

impl BgpSettings {
    /// Returns the settings; `None` where BGP is not spoken.
    pub(super) fn of(contender: Contender, settings: &ContenderSettings) -> Option<Self> {
        let Attraction::Bgp { has_bfd } = contender.attraction() else { return None };
        Some(Self {
            vip: contender.vip(settings.family),
            hold_time: settings.hold_time,
            bfd: has_bfd.then_some(settings.bfd),
            settings: settings.clone(),
        })
    }

    /// Starts the router, with a session to every machine.
    pub(super) fn start_router(&self, lab: &Lab) -> Result<Frr> {
        let mut config = RouterConfig::new(ROUTER_AS, [192, 0, 2, 1].into());
        for node in lab.nodes()? {
            let address = node.spec().addresses().of(self.settings.family);
            let gateway = node.spec().segment().gateway().of(self.settings.family);
            config = config.peer(self.peer(address, NODES_AS, gateway));
        }
        Frr::start(&*lab.router()?, &config)
    }

    /// Starts FRR on a node, which advertises the address.
    pub(super) fn start_speaker(&self, lab: &Lab, node: &str) -> Result<Frr> {
        let node = lab.node(node)?;
        let addresses = node.spec().addresses();
        let gateway = node.spec().segment().gateway().of(self.settings.family);
        let peer = self.peer(gateway, ROUTER_AS, addresses.of(self.settings.family));
        let config = RouterConfig::new(NODES_AS, addresses.v4).peer(peer);
        Frr::start(&node, &config.originate(OriginatedRoute::of(IpNet::from(self.vip))))
    }

    /// Withdraws the address of a node's FRR, or advertises it again.
    pub(super) fn set_advertised(&self, speaker: &Frr, advertised: bool) -> Result<()> {
        let family = if self.vip.is_ipv4() { "ipv4" } else { "ipv6" };
        let no = if advertised { "" } else { "no " };
        speaker.configure(&[
            &format!("router bgp {NODES_AS}"),
            &format!("address-family {family} unicast"),
            &format!("{no}network {}", IpNet::from(self.vip)),
        ])
    }

    /// Writes the objects that make Fairlead's agents peers of the router.
    pub(super) fn write_objects(&self, lab: &Lab) -> Result<()> {
        let gateway = crate::lab::addresses::Segment::rack('a').gateway().of(self.settings.family);
        let mut peer = json!({
            "myASN": NODES_AS,
            "peerASN": ROUTER_AS,
            "peerAddress": gateway.to_string(),
            "holdTime": format!("{}s", self.hold_time),
            "connectTime": "1s",
        });
        let mut objects =
            vec![metallb("v1beta1", "BGPAdvertisement", "router", &json!({ "ipAddressPools": ["lab"] }))];
        if let Some(bfd) = self.bfd {
            peer["bfdProfile"] = json!("router");
            objects.push(bfd_profile("router", bfd));
        }
        objects.push(metallb("v1beta2", "BGPPeer", "router", &peer));
        Ok(fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), yaml(&objects))?)
    }

    fn peer(&self, address: IpAddr, asn: u32, source: IpAddr) -> RouterPeer {
        let mut peer = RouterPeer::at(address, asn).source(source);
        peer.hold_time = self.hold_time;
        peer.bfd = self.bfd;
        peer
    }
}
