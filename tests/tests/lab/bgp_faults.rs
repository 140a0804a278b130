//! Tests of routers with one fault each, beside a correct one: each fault is reported, and the correct
//! router's session is not disturbed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4};
use fairlead_tests::objects::metallb;
use fairlead_tests::routers::fake::{FakeBehavior, FakeRouter};
use fairlead_tests::routers::{
    Frr, RouterConfig, RouterDaemon, RouterPeer, kernel_next_hops, wait, wait_kernel_next_hops,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const ROUTERS_AS: u32 = 4_200_000_000;
const AGENTS_AS: u32 = 4_200_000_001;
/// The address of a Service without endpoints.
const EMPTY: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));
const WITHIN: Duration = Duration::from_secs(40);

#[test]
fn each_peer_fault_is_reported_and_disturbs_no_other_session() -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    let topology = topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local);
    let topology = topology.service("empty", "none", &[EMPTY], ExternalPolicy::Cluster);
    (1..=4).fold(topology, |topology, number| topology.router('a', number)).run(|lab| {
        let node = lab.node("n1")?;
        let correct = start(lab, "router", |peer| peer)?;
        let _wrong_asn = start(lab, "r1", |peer| peer)?;
        let _wrong_password = start(lab, "r2", |peer| peer.password("theirs"))?;
        let _babbler = FakeRouter::start(
            lab.host("r3")?,
            ROUTERS_AS,
            address(lab, "r3")?,
            FakeBehavior::AnswersGarbage,
        )?;
        let suspended = start(lab, "r4", |peer| peer)?;
        let peers = [
            peer(lab, "correct", "router", |_| ())?,
            peer(lab, "wrong-asn", "r1", |spec| spec["peerASN"] = json!(ROUTERS_AS + 9))?,
            peer(lab, "wrong-password", "r2", |spec| spec["password"] = json!("ours"))?,
            peer(lab, "not-bgp", "r3", |_| ())?,
            peer(lab, "suspended", "r4", |_| ())?,
        ];
        write_objects(lab, &peers)?;
        node.launch_agent(&LabAgentOptions::default())?;
        node.wait_agent_ready(WITHIN)?;
        let here = node.spec().addresses().of(IpVersion::V4);
        correct.wait_established(&here.to_string(), WITHIN)?;
        wait_kernel_next_hops(correct.host(), WEB_V4.into(), &[here], WITHIN)?;
        suspended.wait_established(&here.to_string(), WITHIN)?;
        // Both sides connect at the same time, and a collision may have ended the first session.
        let flaps = sessions(&node)?["correct"]["counters"]["flaps"].clone();
        suspended.signal(Signal::SIGSTOP)?;

        let reported = |peer: &str, words: &[&str]| fault(&node, peer, words);
        reported("wrong-asn", &["4200000000", "4200000009"])?;
        reported("wrong-password", &["no answer", "password"])?;
        reported("not-bgp", &["message"])?;
        reported("suspended", &["hold timer"])?;
        suspended.signal(Signal::SIGCONT)?;

        // Failing sessions are retried with growing delays; the correct one has continued.
        let sessions = sessions(&node)?;
        for name in ["wrong-asn", "wrong-password", "not-bgp"] {
            let session = &sessions[name];
            ensure!(session["counters"]["established"] == 0, "{session}");
        }
        let session = &sessions["correct"];
        ensure!(session["state"] == "established" && session["counters"]["flaps"] == flaps, "{session}");
        ensure!(kernel_next_hops(correct.host(), WEB_V4.into())? == [here]);
        unadvertised_service_is_reported(&node)?;
        suspended.wait_established(&here.to_string(), WITHIN)?;
        Ok(())
    })
}

/// Checks that the Service without endpoints is not advertised and reported as such, and the other one is
/// advertised without a message.
fn unadvertised_service_is_reported(node: &LabNode<'_>) -> Result<()> {
    let status: Value = serde_json::from_str(&node.fairlead(&["status", "bgp", "-o", "json"])?)?;
    let services = status["services"].as_array().context("no Services")?;
    let find =
        |name: &str| services.iter().find(|it| it["name"] == name).with_context(|| format!("no {name}"));
    let (web, empty) = (find("web")?, find("empty")?);
    ensure!(
        web["peers"] == json!(["correct", "not-bgp", "suspended", "wrong-asn", "wrong-password"]),
        "{web}"
    );
    ensure!(web["addresses"] == json!([WEB_V4.to_string()]) && web["silent"].is_null(), "{web}");
    ensure!(empty["silent"] == "noEndpoints" && empty["peers"] == json!([]), "{empty}");
    let screen = node.fairlead(&["status", "bgp"])?;
    ensure!(screen.contains("Services advertised: 1 to 5 peers; not advertised: 1"), "{screen}");
    ensure!(screen.contains("default/empty") && screen.contains("no endpoint is serving"), "{screen}");
    Ok(())
}

/// Starts FRR in a host, with a session to the node.
fn start(lab: &Lab, host: &str, edit: fn(RouterPeer) -> RouterPeer) -> Result<Frr> {
    let own = address(lab, host)?;
    let node = lab.node("n1")?.spec().addresses().of(IpVersion::V4);
    let config = RouterConfig::new(ROUTERS_AS, own).peer(edit(RouterPeer::at(node, AGENTS_AS).source(own)));
    Frr::start(lab.host(host)?, &config)
}

fn address(lab: &Lab, host: &str) -> Result<Ipv4Addr> {
    let gateway = lab.node("n1")?.spec().segment().gateway();
    Ok(lab.topology().find_router(host).map_or(gateway, |router| router.addresses()).v4)
}

fn peer(lab: &Lab, name: &str, host: &str, change: fn(&mut Value)) -> Result<Value> {
    let mut spec = json!({
        "myASN": AGENTS_AS,
        "peerASN": ROUTERS_AS,
        "peerAddress": address(lab, host)?.to_string(),
        "holdTime": "9s",
        "connectTime": "2s",
    });
    change(&mut spec);
    Ok(metallb("v1beta2", "BGPPeer", name, &spec))
}

fn write_objects(lab: &Lab, peers: &[Value]) -> Result<()> {
    let advertisement = metallb("v1beta1", "BGPAdvertisement", "all", &json!({}));
    let all = peers.iter().chain([&advertisement]);
    let text: String = all.map(|object| format!("---\n{object}\n")).collect();
    Ok(fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), text)?)
}

/// Returns the agent's status of its sessions, by peer name.
fn sessions(node: &LabNode<'_>) -> Result<Value> {
    let status: Value = serde_json::from_str(&node.fairlead(&["status", "bgp", "-o", "json"])?)?;
    let sessions = status["sessions"].as_array().with_context(|| format!("no sessions in {status}"))?;
    let by_name = sessions
        .iter()
        .map(|session| (session["peer"].as_str().unwrap_or_default().to_owned(), session.clone()));
    Ok(Value::Object(by_name.collect()))
}

/// Waits until a session is down, and the agent's reason contains these words.
fn fault(node: &LabNode<'_>, peer: &str, words: &[&str]) -> Result<()> {
    wait(WITHIN, || {
        let session = sessions(node)?[peer].clone();
        let text = |field: &str| session[field].as_str().unwrap_or_default().to_owned();
        let error = format!("{}; {}", text("last_error"), text("advice"));
        let reports_all = session["state"] != "established" && words.iter().all(|word| error.contains(word));
        ensure!(reports_all, "{peer}: {session}");
        println!("{peer}: {error}");
        Ok(())
    })
}
