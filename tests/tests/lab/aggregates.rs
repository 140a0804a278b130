//! Tests of advertised aggregates: packets for their addresses without a VIP are dropped at the node.

use std::fs;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::topology::HTTP_PORT;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4};
use fairlead_tests::objects::{metallb, yaml};
use fairlead_tests::routers::{Frr, RouterConfig, RouterDaemon, RouterPeer, wait};
use serde_json::{Value, json};

const ROUTERS_AS: u32 = 64_500;
const AGENTS_AS: u32 = 64_501;
const WITHIN: Duration = Duration::from_secs(30);
const AGGREGATE: &str = "203.0.113.0/24";
/// An address of the aggregate that is not a VIP.
const UNUSED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);

#[test]
fn an_advertised_aggregate_is_a_blackhole_and_hides_no_vip() -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Cluster).run(|lab| {
        let node = lab.node("n1")?;
        let (here, gateway) = (node.spec().addresses().v4, node.spec().segment().gateway().v4);
        let peer = RouterPeer::at(here, AGENTS_AS).source(gateway);
        let frr = Frr::start(&*lab.router()?, &RouterConfig::new(ROUTERS_AS, gateway).peer(peer))?;
        fs::remove_file(lab.outside(&lab.manifests_directory().join("metallb.yaml")))?;
        write_objects(lab, &node, 24)?;
        node.start_agent(&LabAgentOptions::default())?;
        frr.wait_routes(AGGREGATE.parse()?, WITHIN, &|routes| routes.len() == 1)?;
        wait_blackholes(&node, &[AGGREGATE])?;

        is_not_looped(lab, &node)?;
        let serves = || Ok(TcpStream::connect_timeout(&(WEB_V4, HTTP_PORT).into(), Duration::from_secs(5))?);
        lab.client()?.run(serves).context("a client's connection to the VIP")?;
        node.run(serves).context("the node's own connection to the VIP")?;

        // The next agent finds them.
        node.stop_agent(WITHIN)?;
        ensure!(blackholes(&node)? == [AGGREGATE], "an agent that stops leaves them");
        node.start_agent(&LabAgentOptions::default())?;
        wait_blackholes(&node, &[AGGREGATE])?;
        ensure!(rules(&node)?.len() == 2, "{:?}", rules(&node)?);

        write_objects(lab, &node, 28)?;
        wait_blackholes(&node, &["203.0.113.0/28"])?;
        write_objects(lab, &node, 32)?;
        wait_blackholes(&node, &[])?;
        ensure!(rules(&node)?.is_empty(), "{:?}", rules(&node)?);

        write_objects(lab, &node, 24)?;
        wait_blackholes(&node, &[AGGREGATE])?;
        node.stop_agent(WITHIN)?;
        node.detach()?;
        ensure!(blackholes(&node)?.is_empty() && rules(&node)?.is_empty(), "{:?}", rules(&node)?);
        Ok(())
    })
}

/// Checks that datagrams for an unused address are received once each, with little else. The router's kernel
/// may get the route a moment later than its BGP.
fn is_not_looped(lab: &Lab, node: &LabNode<'_>) -> Result<()> {
    let received_as = wait(WITHIN, || {
        let before = received(node)?;
        lab.client()?.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_ttl(255)?;
            for _ in 0..10 {
                socket.send_to(b"x", (UNUSED, 9))?;
            }
            Ok(())
        })?;
        sleep(Duration::from_millis(500));
        let received_as = received(node)? - before;
        ensure!(
            received_as >= 10,
            "10 datagrams for an unused address were received as {received_as} packets"
        );
        Ok(received_as)
    })?;
    ensure!(received_as < 200, "10 datagrams for an unused address were received as {received_as} packets");
    Ok(())
}

fn received(node: &LabNode<'_>) -> Result<u64> {
    let status = node.status()?;
    let outcomes = status["outcomes"].as_array().context("no outcomes")?;
    Ok(outcomes.iter().filter_map(|it| it["packets"].as_u64()).sum())
}

fn blackholes(node: &LabNode<'_>) -> Result<Vec<String>> {
    let text = node.command("ip").args(["-json", "route", "show", "table", "all"]).text()?;
    let routes: Vec<Value> = serde_json::from_str(&text)?;
    let own = routes.iter().filter(|route| route["table"] == "6080" && route["type"] == "blackhole");
    Ok(own.filter_map(|route| route["dst"].as_str().map(str::to_owned)).collect())
}

fn rules(node: &LabNode<'_>) -> Result<Vec<Value>> {
    let text = node.command("ip").args(["-json", "rule", "show"]).text()?;
    let rules: Vec<Value> = serde_json::from_str(&text)?;
    Ok(rules.into_iter().filter(|rule| !rule["iif"].is_null()).collect())
}

fn wait_blackholes(node: &LabNode<'_>, expected: &[&str]) -> Result<()> {
    wait(WITHIN, || {
        let found = blackholes(node)?;
        ensure!(found == expected, "blackholes for {found:?} instead of {expected:?}");
        Ok(())
    })
}

/// Writes the objects that make the agent advertise the VIP in an aggregate of this length.
fn write_objects(lab: &Lab, node: &LabNode<'_>, length: u8) -> Result<()> {
    let peer = json!({
        "myASN": AGENTS_AS,
        "peerASN": ROUTERS_AS,
        "peerAddress": node.spec().segment().gateway().v4.to_string(),
        "connectTime": "1s",
    });
    let objects = [
        metallb("v1beta1", "IPAddressPool", "lab", &json!({ "addresses": [AGGREGATE] })),
        metallb("v1beta2", "BGPPeer", "router", &peer),
        metallb("v1beta1", "BGPAdvertisement", "router", &json!({ "aggregationLength": length })),
    ];
    Ok(fs::write(lab.outside(&lab.manifests_directory()).join("bgp.yaml"), yaml(&objects))?)
}
