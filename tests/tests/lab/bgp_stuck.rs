//! Tests of routers that get stuck: one that reads nothing, one that closes every connection, one that is
//! replaced during a session by another without state. Each is reported, and does not disturb the other
//! router.

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::{Lab, LabAgentOptions, LabNode, Topology};
use fairlead_tests::routers::fake::{FakeBehavior, FakeRouter};
use fairlead_tests::routers::{Frr, RouterConfig, RouterDaemon, RouterPeer, wait};
use ipnet::IpNet;
use serde_json::{Value, json};

const ROUTERS_AS: u32 = 4_200_000_000;
const AGENTS_AS: u32 = 4_200_000_001;
const WITHIN: Duration = Duration::from_secs(60);
/// Number of Services: the routes of a few changes must exceed the kernel's send buffer.
const SERVICES: u32 = 3000;
/// Changes of all routes after which the kernel's send buffer must be full.
const CHANGES: u32 = 60;
/// The agent's metrics address.
const METRICS: &str = "127.0.0.1:9120";

#[test]
fn a_router_that_reads_nothing_is_reported_and_blocks_no_other_session() -> Result<()> {
    run(|lab, node| {
        let correct = frr(lab, "router", "router")?;
        let stuck =
            FakeRouter::start(lab.host("r1")?, ROUTERS_AS, address(lab, "r1")?, FakeBehavior::ReadsNothing)?;
        put(lab, "peers", &(peer(lab, "correct", "router")? + &peer(lab, "stuck", "r1")?))?;
        services(lab)?;
        originate(lab, 1)?;
        node.launch_agent(&options())?;
        wait(WITHIN, || knows(&correct, 1))?;

        // Every change is sent to both; only one reads it.
        let is_stuck =
            || Ok::<_, anyhow::Error>(session(node, "stuck")?["unread_seconds"].as_u64() > Some(0));
        let mut change = 1;
        while !is_stuck()? {
            change += 1;
            ensure!(change < CHANGES, "the kernel still buffers everything: {}", session(node, "stuck")?);
            originate(lab, change)?;
            wait(WITHIN, || knows(&correct, change))?;
        }
        println!("after {change} changes: {}", session(node, "stuck")?);
        let shown = session(node, "stuck")?;
        ensure!(shown["state"] == "established" && shown["given_up_seconds"].as_u64() > Some(400), "{shown}");
        let screen = node.fairlead(&["status", "bgp"])?;
        ensure!(screen.contains("stuck: the peer has read nothing for"), "{screen}");
        let peer = format!("peer=\"{}:179\"", address(lab, "r1")?);
        ensure!(metric(node, "fairlead_bgp_unread_seconds", &[&peer])? > 0.0);

        // Without KEEPALIVEs the hold timer ends the session.
        stuck.stop_sending();
        wait(WITHIN, || {
            let session = session(node, "stuck")?;
            let error = session["last_error"].as_str().unwrap_or_default().to_owned();
            ensure!(error.contains("hold timer expired"), "{session}");
            ensure!(session["counters"]["flaps"] == 1, "{session}");
            Ok(())
        })?;
        originate(lab, CHANGES)?;
        wait(WITHIN, || knows(&correct, CHANGES))?;
        is_undisturbed(node)
    })
}

#[test]
fn failed_connection_attempts_back_off() -> Result<()> {
    run(|lab, node| {
        let correct = frr(lab, "router", "router")?;
        let fake = FakeRouter::start(lab.host("r1")?, ROUTERS_AS, address(lab, "r1")?, FakeBehavior::Closes)?;
        put(lab, "peers", &(peer(lab, "correct", "router")? + &peer(lab, "closing", "r1")?))?;
        node.launch_agent(&options())?;
        correct.wait_established(&here(node).to_string(), WITHIN)?;
        let accepted = wait(WITHIN, || {
            let accepted = fake.accepted();
            ensure!(accepted.len() >= 5, "{} connections", accepted.len());
            Ok(accepted)
        })?;
        // Delays double and are shortened by at most a quarter, so the next one is always longer.
        let gaps: Vec<Duration> = accepted.windows(2).map(|pair| pair[1] - pair[0]).collect();
        println!("{gaps:.2?}");
        ensure!(gaps.is_sorted_by(|one, next| one < next), "{gaps:?}");
        let peer = format!("peer=\"{}:179\"", address(lab, "r1")?);
        ensure!(metric(node, "fairlead_bgp_session_down", &[&peer, "reason=\"closed\""])? == 1.0);
        is_undisturbed(node)
    })
}

#[test]
fn a_router_replaced_during_a_session_is_connected_again() -> Result<()> {
    run(|lab, node| {
        let correct = frr(lab, "router", "router")?;
        let former = frr(lab, "r1", "r1")?;
        services(lab)?;
        originate(lab, 1)?;
        put(lab, "peers", &(peer(lab, "correct", "router")? + &peer(lab, "replaced", "r1")?))?;
        node.launch_agent(&options())?;
        wait(WITHIN, || knows(&correct, 1).and_then(|()| knows(&former, 1)))?;

        // The machine disappears without closing its session; its successor has the address and another MAC.
        let (begun, lost) = (Instant::now(), address(lab, "r1")?);
        former.host().ip(&["link set eth0 down".to_owned()])?;
        lab.host("r2")?.ip(&[format!("addr add {lost}/24 dev eth0")])?;
        let successor = frr(lab, "r2", "r1")?;
        wait(WITHIN, || knows(&successor, 1))?;
        let session = session(node, "replaced")?;
        println!("{:.1?} after the former router was lost: {}", begun.elapsed(), session["last_error"]);
        ensure!(session["state"] == "established" && session["counters"]["flaps"] == 1, "{session}");
        ensure!(session["counters"]["established"] == 2, "{session}");
        is_undisturbed(node)
    })
}

/// Runs a test with a node, the lab's router, and two additional routers.
fn run(test: impl FnOnce(&Lab, &LabNode<'_>) -> Result<()>) -> Result<()> {
    let topology = Topology::empty().node('a', 1).router('a', 1).router('a', 2);
    topology.run(|lab| test(lab, &lab.node("n1")?))
}

fn options() -> LabAgentOptions {
    let arguments = ["--metrics-address", METRICS].map(str::to_owned).to_vec();
    LabAgentOptions { arguments, ..LabAgentOptions::default() }
}

fn here(node: &LabNode<'_>) -> Ipv4Addr {
    node.spec().addresses().v4
}

fn address(lab: &Lab, host: &str) -> Result<Ipv4Addr> {
    let gateway = lab.node("n1")?.spec().segment().gateway();
    Ok(lab.topology().find_router(host).map_or(gateway, |router| router.addresses()).v4)
}

/// Starts FRR in a host, with the address of another, in session with the node.
fn frr(lab: &Lab, host: &str, address_of: &str) -> Result<Frr> {
    let own = address(lab, address_of)?;
    let peer = RouterPeer::at(here(&lab.node("n1")?), AGENTS_AS).source(own);
    Frr::start(lab.host(host)?, &RouterConfig::new(ROUTERS_AS, own).peer(peer))
}

fn peer(lab: &Lab, name: &str, host: &str) -> Result<String> {
    let spec = json!({
        "myASN": AGENTS_AS,
        "peerASN": ROUTERS_AS,
        "peerAddress": address(lab, host)?.to_string(),
        "holdTime": "9s",
    });
    Ok(format!(
        "---\n{{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: {{name: {name}}}, spec: {spec}}}\n"
    ))
}

/// Advertises all routes with a new community.
fn originate(lab: &Lab, change: u32) -> Result<()> {
    let text = format!(
        "---\n{{apiVersion: metallb.io/v1beta1, kind: BGPAdvertisement, metadata: {{name: all}}, \
         spec: {{communities: ['64512:{change}']}}}}\n"
    );
    put(lab, "advertisement", &text)
}

/// Checks that a router has the last route as it was advertised.
fn knows(router: &Frr, change: u32) -> Result<()> {
    let last: IpNet = format!("{}/32", Ipv4Addr::from_bits(first().to_bits() + SERVICES - 1)).parse()?;
    let routes = router.routes(last)?;
    let is_known = routes.iter().any(|route| route.communities == [(64_512, change as u16)].into());
    ensure!(is_known, "{}: {routes:?}", router.host().name());
    Ok(())
}

const fn first() -> Ipv4Addr {
    Ipv4Addr::new(10, 128, 0, 0)
}

/// Writes Services with an address and an endpoint each.
fn services(lab: &Lab) -> Result<()> {
    let mut text = String::from(
        "---\n{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: many}, \
         spec: {addresses: [10.128.0.0/16]}}\n",
    );
    for number in 0..SERVICES {
        let address = Ipv4Addr::from_bits(first().to_bits() + number);
        write!(
            text,
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: s{number}, namespace: d, annotations: \
             {{metallb.io/loadBalancerIPs: {address}}}}}, spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}}}\n\
             ---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: s{number}, namespace: d, \
             labels: {{kubernetes.io/service-name: s{number}}}}}, addressType: IPv4, ports: [{{port: 80}}], \
             endpoints: [{{addresses: [10.244.1.2], nodeName: n1}}]}}\n"
        )?;
    }
    put(lab, "services-many", &text)
}

/// Writes a file atomically, so that the agent never reads half of it.
fn put(lab: &Lab, file: &str, text: &str) -> Result<()> {
    let directory = lab.outside(&lab.manifests_directory());
    let draft = directory.join(format!(".{file}.draft"));
    fs::write(&draft, text)?;
    Ok(fs::rename(draft, directory.join(format!("{file}.yaml")))?)
}

/// Returns the agent's status of a session.
fn session(node: &LabNode<'_>, peer: &str) -> Result<Value> {
    let status: Value = serde_json::from_str(&node.fairlead(&["status", "bgp", "-o", "json"])?)?;
    let sessions = status["sessions"].as_array().with_context(|| format!("no sessions in {status}"))?;
    let session = sessions.iter().find(|session| session["peer"] == peer);
    session.cloned().with_context(|| format!("no {peer} in {status}"))
}

/// Checks that the correct router's session has continued.
fn is_undisturbed(node: &LabNode<'_>) -> Result<()> {
    let session = session(node, "correct")?;
    let is_well = session["state"] == "established" && session["counters"]["flaps"] == 0;
    ensure!(is_well && session["unread_seconds"].is_null(), "{session}");
    Ok(())
}

/// Returns the value of the metric with these labels.
fn metric(node: &LabNode<'_>, name: &str, labels: &[&str]) -> Result<f64> {
    let text = node.command("curl").args(["-sS", "-m", "5", &format!("http://{METRICS}/metrics")]).text()?;
    let is_it = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
    let line = text.lines().find(is_it).with_context(|| format!("no {name} with {labels:?}: {text}"))?;
    Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
}
