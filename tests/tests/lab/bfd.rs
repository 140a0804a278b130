//! Tests of BFD with FRR beyond control packets: echoes in both directions, and foreign packets.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4};
use fairlead_tests::objects::{metallb, yaml};
use fairlead_tests::packets::build::Frame;
use fairlead_tests::routers::{BfdTimers, Frr, RouterConfig, RouterDaemon, RouterPeer, wait};
use fairlead_tests::traffic::RawSocket;
use serde_json::{Value, json};

const ROUTERS_AS: u32 = 64_500;
const AGENTS_AS: u32 = 64_501;
const WITHIN: Duration = Duration::from_secs(30);
/// More echoes than could come back by chance.
const ECHOES: u64 = 20;

#[test]
fn missing_echoes_end_a_session_despite_control_packets() -> Result<()> {
    run(false, |lab, node, frr| {
        write_objects(lab, |profile| {
            profile["echoMode"] = json!(true);
            profile["echoInterval"] = json!(50);
        })?;
        node.start_agent(&LabAgentOptions::default())?;
        wait_echoes(node)?;
        ensure!(session(node)?["down_events"] == 0, "{}", session(node)?);

        // FRR still sends control packets; only forwarding has stopped.
        lab.router()?.sysctl(&[("net/ipv4/ip_forward", "0")])?;
        wait(WITHIN, || {
            let session = session(node)?;
            ensure!(session["down_events"].as_u64() > Some(0), "{session}");
            Ok(())
        })?;
        let log = node.agent_log();
        ensure!(log.contains("BFD session down: echo function failed"), "{log}");

        lab.router()?.sysctl(&[("net/ipv4/ip_forward", "1")])?;
        wait_echoes(node)?;
        frr.wait_established(&here(node).to_string(), WITHIN).map(drop)
    })
}

#[test]
fn echoes_of_a_router_are_returned() -> Result<()> {
    run(true, |lab, node, frr| {
        write_objects(lab, |_| ())?;
        node.start_agent(&LabAgentOptions::default())?;
        frr.wait_bfd_up(here(node).into(), WITHIN)?;
        let returned = || -> Result<u64> {
            let peers: Value = serde_json::from_str(&frr.vtysh("show bfd peers counters json")?)?;
            peers[0]["echo-packet-input"].as_u64().with_context(|| format!("no counter in {peers}"))
        };
        wait(WITHIN, || {
            let returned = returned()?;
            ensure!(returned >= ECHOES, "{returned} echoes came back to FRR");
            Ok(())
        })?;
        let status = node.status()?;
        let outcomes = status["outcomes"].as_array().context("no outcomes")?;
        let by_program = outcomes.iter().find(|it| it["name"] == "bfd_echo_returned");
        ensure!(by_program.is_some_and(|it| it["packets"].as_u64() >= Some(ECHOES)), "{outcomes:?}");
        ensure!(session(node)?["down_events"] == 0, "{}", session(node)?);
        Ok(())
    })
}

/// They come from two hops away, some with the router's address and some with a valid discriminator.
#[test]
fn foreign_bfd_packets_are_dropped_and_change_no_state() -> Result<()> {
    run(false, |lab, node, frr| {
        write_objects(lab, |_| ())?;
        node.start_agent(&LabAgentOptions::default())?;
        frr.wait_bfd_up(here(node).into(), WITHIN)?;
        frr.wait_established(&here(node).to_string(), WITHIN)?;
        // The program learns within a second which packets the agent receives.
        std::thread::sleep(Duration::from_secs(2));
        let discriminator = session(node)?["local"].as_u64().unwrap_or(1) as u32;
        let forged: Vec<Vec<u8>> =
            (0..64).flat_map(|number| forged(here(node), discriminator, number)).collect();
        let before = outcome(node, "bfd_stranger")?;
        let sent = lab
            .client()?
            .run(|| RawSocket::open()?.send_for(&forged, 30_000, Duration::from_secs(10), || false))?;
        let dropped = wait(WITHIN, || {
            let dropped = outcome(node, "bfd_stranger")? - before;
            ensure!(dropped * 100 > sent * 95, "{dropped} of {sent} foreign packets are counted as dropped");
            Ok(dropped)
        })?;
        let status: Value = serde_json::from_str(&node.fairlead(&["status", "bfd", "-o", "json"])?)?;
        println!("{sent} forged packets, {dropped} dropped by the program; {status}");
        ensure!(status["unknown_packets"] == 0, "foreign packets reached the agent: {status}");
        let session = session(node)?;
        ensure!(session["state"] == "Up" && session["down_events"] == 0, "{session}");
        frr.wait_established(&here(node).to_string(), WITHIN).map(drop)
    })
}

/// Returns a packet with this discriminator, one that requests a new session, and noise, all to the BFD port.
fn forged(to: Ipv4Addr, discriminator: u32, number: u8) -> [Vec<u8>; 4] {
    let control = |state: u8, yours: u32| -> Vec<u8> {
        let words = [7, yours, 300_000, 300_000, 0].into_iter().flat_map(u32::to_be_bytes);
        [0x20, state, 3, 24].into_iter().chain(words).collect()
    };
    let packet = |port, payload: &[u8]| {
        let source = [198, 18, number, 1 + number];
        Frame::v4(source, to.octets()).ttl(255).datagram(50_000, port, payload).ip()
    };
    let (down, new) = (control(0x40, discriminator), control(0x40, 0));
    [
        packet(3784, &down),
        packet(3784, &new),
        packet(3784, &control(0, discriminator)),
        packet(3784, b"noise"),
    ]
}

fn outcome(node: &LabNode<'_>, name: &str) -> Result<u64> {
    let status = node.status()?;
    let outcomes = status["outcomes"].as_array().context("no outcomes")?;
    let found = outcomes.iter().find(|it| it["name"] == name);
    Ok(found.and_then(|it| it["packets"].as_u64()).unwrap_or_default())
}

/// Runs a test with a node whose router is FRR with BFD; with `echo`, FRR sends echoes, too.
fn run(echo: bool, test: impl FnOnce(&Lab, &LabNode<'_>, &Frr) -> Result<()>) -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local).run(|lab| {
        let node = lab.node("n1")?;
        let gateway = gateway(&node);
        let peer = RouterPeer::at(here(&node), AGENTS_AS)
            .source(gateway)
            .bfd(BfdTimers { echo, ..BfdTimers::every(Duration::from_millis(100)) });
        let frr = Frr::start(&*lab.router()?, &RouterConfig::new(ROUTERS_AS, gateway).peer(peer))?;
        test(lab, &node, &frr)
    })
}

fn here(node: &LabNode<'_>) -> Ipv4Addr {
    node.spec().addresses().v4
}

fn gateway(node: &LabNode<'_>) -> Ipv4Addr {
    node.spec().segment().gateway().v4
}

/// Returns the agent's status of its session.
fn session(node: &LabNode<'_>) -> Result<Value> {
    let status: Value = serde_json::from_str(&node.fairlead(&["status", "bfd", "-o", "json"])?)?;
    Ok(status["sessions"][0].clone())
}

/// Waits until a session is up, and echoes sent from now on come back.
fn wait_echoes(node: &LabNode<'_>) -> Result<()> {
    let before = session(node)?["echo_received"].as_u64().unwrap_or_default();
    wait(WITHIN, || {
        let session = session(node)?;
        let received = session["echo_received"].as_u64().unwrap_or_default();
        let is_watched = session["state"] == "Up" && session["echo_ms"] == json!(50.0);
        ensure!(is_watched && received >= before + ECHOES, "{session}");
        Ok(())
    })
}

/// Writes the objects that make the agent a peer of the router.
fn write_objects(lab: &Lab, change: fn(&mut Value)) -> Result<()> {
    let peer = json!({
        "myASN": AGENTS_AS,
        "peerASN": ROUTERS_AS,
        "peerAddress": gateway(&lab.node("n1")?).to_string(),
        "connectTime": "1s",
        "bfdProfile": "router",
    });
    let mut profile = json!({ "receiveInterval": 100, "transmitInterval": 100, "detectMultiplier": 3 });
    change(&mut profile);
    let objects = [
        metallb("v1beta1", "BFDProfile", "router", &profile),
        metallb("v1beta2", "BGPPeer", "router", &peer),
        metallb("v1beta1", "BGPAdvertisement", "router", &json!({})),
    ];
    Ok(fs::write(lab.outside(&lab.manifests_directory()).join("bgp.yaml"), yaml(&objects))?)
}
