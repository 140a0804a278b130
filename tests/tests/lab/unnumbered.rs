//! A test of an unnumbered peer: FRR's `neighbor IFACE interface`, discovery by Router Advertisements, and
//! IPv4 routes with IPv6 next hops.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabHost, LabNode, Topology, WEB_V4, WEB_V6};
use fairlead_tests::objects::{metallb, yaml};
use fairlead_tests::routers::{
    BfdTimers, Capability, Frr, RouterConfig, RouterDaemon, RouterPeer, kernel_next_hops, wait,
};
use serde_json::{Value, json};

const ROUTERS_AS: u32 = 64_500;
const AGENTS_AS: u32 = 64_501;
const WITHIN: Duration = Duration::from_secs(40);
/// The uplink of every node.
const INTERFACE: &str = "eth0";

#[test]
fn frr_and_an_agent_establish_an_unnumbered_session() -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local).run(|lab| {
        let node = lab.node("n1")?;
        let link = node.spec().segment().name;
        let node_address = link_local(lab.host("n1")?, INTERFACE)?;
        write_objects(lab)?;
        node.start_agent(&LabAgentOptions::default())?;
        wait(WITHIN, || {
            let problems = node.status()?["problems"].to_string();
            ensure!(problems.contains("no router found on eth0"), "{problems}");
            Ok(())
        })?;

        let peer = RouterPeer::behind(&link, AGENTS_AS).bfd(BfdTimers::every(Duration::from_millis(100)));
        let gateway = node.spec().segment().gateway().v4;
        let frr = Frr::start(&*lab.router()?, &RouterConfig::new(ROUTERS_AS, gateway).peer(peer))?;
        let seen = frr.wait_established(&link, WITHIN)?;
        ensure!(seen.asn == AGENTS_AS, "{seen:?}");
        ensure!(seen.capabilities.contains(&Capability::ExtendedNextHop), "{seen:?}");
        for vip in [WEB_V4, WEB_V6] {
            let routes = frr.wait_routes(vip.into(), WITHIN, &|routes| !routes.is_empty())?;
            ensure!(routes.len() == 1 && routes[0].next_hops.contains(&node_address), "{vip}: {routes:?}");
            wait(WITHIN, || {
                let hops = kernel_next_hops(frr.host(), vip.into())?;
                ensure!(hops.len() == 1, "{vip}: {hops:?}");
                Ok(())
            })?;
            let url = format!("http://{}/", SocketAddr::new(vip, 80));
            let curl = || lab.client()?.command("curl").args(["-sS", "-m", "5", "-g", &url]).text();
            wait(WITHIN, curl)?;
        }
        frr.wait_bfd_up(node_address, WITHIN)?;
        is_shown(&node)?;

        // Another link-local address is another router; the former one no longer answers.
        let name = frr.host().name().to_owned();
        let former = link_local(frr.host(), &link)?;
        let another: IpAddr = "fe80::77".parse()?;
        frr.host().ip(&[
            format!("addr add {another}/64 dev {link} nodad"),
            format!("addr del {former}/64 dev {link}"),
        ])?;
        wait(WITHIN, || {
            let session = session(&node)?;
            let is_there = session["address"] == another.to_string() && session["state"] == "established";
            ensure!(is_there, "{name}: {session}");
            Ok(())
        })
    })
}

/// Checks that the only session is with a link-local address, shows its interface, and has no problems.
fn is_shown(node: &LabNode<'_>) -> Result<()> {
    let session = session(node)?;
    let address: IpAddr = session["address"].as_str().context("no address")?.parse()?;
    ensure!(matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()), "{session}");
    ensure!(session["vrf"] == INTERFACE && session["counters"]["flaps"] == 0, "{session}");
    for family in ["ipv4", "ipv6"] {
        ensure!(session["families"][family]["announced"] == 1, "{session}");
    }
    let problems = node.status()?["problems"].to_string();
    ensure!(!problems.contains(INTERFACE), "{problems}");
    Ok(())
}

fn session(node: &LabNode<'_>) -> Result<Value> {
    let status: Value = serde_json::from_str(&node.fairlead(&["status", "bgp", "-o", "json"])?)?;
    Ok(status["sessions"][0].clone())
}

/// Returns the link-local address of a host's interface.
fn link_local(host: &LabHost, interface: &str) -> Result<IpAddr> {
    let printed =
        host.command("ip").args(["-j", "-6", "addr", "show", "dev", interface, "scope", "link"]).text()?;
    let links: Value = serde_json::from_str(&printed)?;
    let infos = links.as_array().into_iter().flatten().flat_map(|link| link["addr_info"].as_array());
    let mut addresses = infos.flatten().filter_map(|info| info["local"].as_str());
    Ok(addresses.next().with_context(|| format!("no link-local address: {printed}"))?.parse()?)
}

/// Writes the objects that configure an unnumbered peer on the agent's uplink.
fn write_objects(lab: &Lab) -> Result<()> {
    let profile = json!({ "receiveInterval": 100, "transmitInterval": 100, "detectMultiplier": 3 });
    let peer = json!({
        "myASN": AGENTS_AS,
        "peerASN": ROUTERS_AS,
        "interface": INTERFACE,
        "connectTime": "1s",
        "holdTime": "9s",
        "bfdProfile": "router",
    });
    let objects = [
        metallb("v1beta1", "BFDProfile", "router", &profile),
        metallb("v1beta2", "BGPPeer", "router", &peer),
        metallb("v1beta1", "BGPAdvertisement", "router", &json!({})),
    ];
    Ok(fs::write(lab.outside(&lab.manifests_directory()).join("bgp.yaml"), yaml(&objects))?)
}
