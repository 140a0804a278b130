//! Tests of the cost of changes to a router: messages, sessions and routes.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, WEB_V6};
use fairlead_tests::objects::{bfd_profile, metallb, yaml};
use fairlead_tests::routers::{
    BfdTimers, Frr, GracefulRestartMode, RouterConfig, RouterDaemon, RouterPeer, kernel_next_hops, wait,
    wait_kernel_next_hops,
};
use fairlead_tests::scrape::{self, Scrape, write_services};
use serde_json::{Value, json};

const ROUTERS_AS: u32 = 64_500;
const AGENTS_AS: u32 = 64_501;
/// The agent's metrics address.
const METRICS: &str = "127.0.0.1:9120";
const STALE_0: &str = "metallb_k8s_client_config_stale_bool 0";
const WITHIN: Duration = Duration::from_secs(30);
/// How long the router's route is monitored for an interruption.
const WATCHED_FOR: Duration = Duration::from_secs(4);

#[test]
fn a_changed_route_costs_one_update_and_no_reset() -> Result<()> {
    run(|lab, node| {
        let frr = router(lab, node, |peer| peer)?;
        write_objects(lab, 100, "64512:7", |_| ())?;
        node.start_agent(&LabAgentOptions::default())?;
        wait_community(&frr, "64512:7")?;
        let before = counters(&frr, node)?;
        write_objects(lab, 100, "64512:8", |_| ())?;
        wait_community(&frr, "64512:8")?;
        let after = counters(&frr, node)?;
        ensure!(after.updates == before.updates + 1, "{before:?}, then {after:?}");
        ensure!(after.established == before.established, "{before:?}, then {after:?}");
        Ok(())
    })
}

#[test]
fn a_changed_bfd_profile_resets_no_session() -> Result<()> {
    run(|lab, node| {
        let frr = router(lab, node, |peer| peer.bfd(BfdTimers::every(Duration::from_millis(100))))?;
        let watched = |spec: &mut Value| spec["bfdProfile"] = json!("router");
        write_objects(lab, 100, "64512:7", watched)?;
        node.start_agent(&LabAgentOptions::default())?;
        let here = node.spec().addresses().of(IpVersion::V4);
        frr.wait_bfd_up(here, WITHIN)?;
        wait_community(&frr, "64512:7")?;
        let before = counters(&frr, node)?;
        write_objects(lab, 300, "64512:7", watched)?;
        wait(WITHIN, || {
            let sessions = frr.bfd_sessions()?;
            let session = sessions.get(&here).context("no BFD session")?;
            ensure!(session.up && session.detection == Duration::from_millis(900), "{session:?}");
            Ok(())
        })?;
        let after = counters(&frr, node)?;
        ensure!(after == before, "{before:?}, then {after:?}");
        Ok(())
    })
}

#[test]
fn a_restarted_agent_leaves_its_routes_in_the_router() -> Result<()> {
    run(|lab, node| {
        let frr =
            router(lab, node, |peer| RouterPeer { graceful_restart: GracefulRestartMode::Helper, ..peer })?;
        write_objects(lab, 100, "64512:7", |spec| spec["enableGracefulRestart"] = json!(true))?;
        node.start_agent(&LabAgentOptions::without_keeper())?;
        let here = [node.spec().addresses().of(IpVersion::V4)];
        wait_kernel_next_hops(frr.host(), WEB_V4.into(), &here, WITHIN)?;
        let before = counters(&frr, node)?;
        node.stop_agent(WITHIN)?;
        node.launch_agent(&LabAgentOptions::without_keeper())?;
        let until = Instant::now() + WATCHED_FOR;
        while Instant::now() < until {
            let hops = kernel_next_hops(frr.host(), WEB_V4.into())?;
            ensure!(hops == here, "the route is gone: {hops:?}\n{}", node.agent_log());
            thread::sleep(Duration::from_millis(5));
        }
        let again = || {
            let after = counters(&frr, node)?;
            ensure!(after.established > before.established, "no second session: {after:?}");
            Ok(())
        };
        wait(WITHIN, again)?;
        ensure!(kernel_next_hops(frr.host(), WEB_V4.into())? == here);
        Ok(())
    })
}

/// The other nodes forward nothing for a node that has been deleted, so it must not attract packets. Without
/// any Node, the objects are not to be trusted.
#[test]
fn a_deleted_node_withdraws_its_routes_unless_all_are_gone() -> Result<()> {
    let topology = Topology::empty().node('a', 1).node('a', 2).pods("n1", "web", 1);
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local).run(|lab| {
        let node = lab.node("n1")?;
        let frr = router(lab, &node, |peer| peer)?;
        write_objects(lab, 100, "64512:7", |_| ())?;
        node.start_agent(&LabAgentOptions::default())?;
        let here = [node.spec().addresses().of(IpVersion::V4)];
        let has_routes =
            |hops: &[std::net::IpAddr]| wait_kernel_next_hops(frr.host(), WEB_V4.into(), hops, WITHIN);
        has_routes(&here)?;
        let before = counters(&frr, &node)?;
        let set_members = |names: &[&str]| {
            lab.update(|it| {
                for name in ["n1", "n2"] {
                    it.node_mut(name)?.member = names.contains(&name);
                }
                Ok(())
            })
        };
        set_members(&["n2"])?;
        has_routes(&[])?;
        set_members(&["n1", "n2"])?;
        has_routes(&here)?;
        set_members(&[])?;
        let until = Instant::now() + WATCHED_FOR;
        while Instant::now() < until {
            let hops = kernel_next_hops(frr.host(), WEB_V4.into())?;
            ensure!(hops == here, "the route is gone: {hops:?}\n{}", node.agent_log());
            thread::sleep(Duration::from_millis(20));
        }
        let after = counters(&frr, &node)?;
        ensure!(after.established == before.established, "the session ended: {before:?}, then {after:?}");
        Ok(())
    })
}

#[test]
fn an_invalid_peer_keeps_its_session_and_is_reported_in_metrics() -> Result<()> {
    run(|lab, node| {
        let frr = router(lab, node, |peer| peer)?;
        write_objects(lab, 100, "64512:7", |_| ())?;
        let arguments = ["--metrics-address", METRICS].map(str::to_owned).to_vec();
        node.start_agent(&LabAgentOptions { arguments, ..LabAgentOptions::default() })?;
        wait_community(&frr, "64512:7")?;
        let announced = format!("metallb_speaker_announced{{ip=\"{WEB_V4}\",node=\"n1\",protocol=\"bgp\"");
        wait_metrics(node, &[&announced, "metallb_k8s_client_config_loaded_bool 1", STALE_0])?;
        let before = counters(&frr, node)?;

        write_objects(lab, 100, "64512:7", |spec| spec["holdTime"] = json!("1s"))?;
        wait_metrics(node, &[&announced, "metallb_k8s_client_config_stale_bool 1"])?;
        ensure!(counters(&frr, node)? == before, "{before:?}");
        write_objects(lab, 100, "64512:7", |_| ())?;
        wait_metrics(node, &[&announced, STALE_0])?;
        ensure!(counters(&frr, node)? == before, "{before:?}");
        Ok(())
    })
}

#[test]
fn the_time_to_advertise_a_new_service_is_measured() -> Result<()> {
    run(|lab, node| {
        let frr = router(lab, node, |peer| peer)?;
        write_objects(lab, 100, "64512:7", |_| ())?;
        let arguments = ["--metrics-address", scrape::METRICS].map(str::to_owned).to_vec();
        node.start_agent(&LabAgentOptions { arguments, ..LabAgentOptions::default() })?;
        wait_community(&frr, "64512:7")?;
        let all = yaml(&[metallb("v1beta1", "BGPAdvertisement", "all", &json!({}))]);
        fs::write(lab.outside(&lab.manifests_directory()).join("all.yaml"), all)?;
        let name = "fairlead_announcement_latency_seconds";
        let measured =
            |part: &str| -> Result<f64> { Ok(Scrape::of(node, "*/*")?.sum(&format!("{name}_{part}"), &[])) };
        let (before, seconds) = (measured("count")?, measured("sum")?);
        write_services(lab, 1)?;
        wait(WITHIN, || {
            let count = measured("count")?;
            ensure!(count == before + 1.0, "{count} times, {before} before");
            Ok(())
        })?;
        let took = measured("sum")? - seconds;
        println!("advertised {:.1} ms after the change was seen", took * 1e3);
        ensure!(took > 0.0 && took < 5.0, "{took} s");
        Ok(())
    })
}

/// Waits until the metrics have lines with these prefixes.
fn wait_metrics(node: &LabNode<'_>, lines: &[&str]) -> Result<()> {
    let url = format!("http://{METRICS}/metrics");
    wait(WITHIN, || {
        let text = node.command("curl").args(["-sS", "-m", "5", &url]).text()?;
        let missing = lines.iter().find(|expected| !text.lines().any(|line| line.starts_with(**expected)));
        ensure!(missing.is_none(), "no {missing:?} in {text}");
        Ok(())
    })
}

/// To the kernel, a VRF is an interface that a socket is bound to; any interface shows that binding works.
#[test]
fn sockets_are_bound_to_the_vrf_of_a_peer() -> Result<()> {
    run(|lab, node| {
        let frr = router(lab, node, |peer| peer.bfd(BfdTimers::every(Duration::from_millis(100))))?;
        write_objects(lab, 100, "64512:7", |spec| {
            spec["bfdProfile"] = json!("router");
            spec["vrf"] = json!("eth0");
        })?;
        node.start_agent(&LabAgentOptions::default())?;
        wait_community(&frr, "64512:7")?;
        let here = node.spec().addresses().of(IpVersion::V4);
        frr.wait_bfd_up(here, WITHIN)?;
        let session = session(node)?;
        ensure!(session["vrf"] == "eth0" && session["state"] == "established", "{session}");
        let bound = node.command("ss").args(["-Htuanp"]).text()?;
        let is_bound = |port: &str| bound.lines().any(|line| line.contains(&format!("%eth0:{port} ")));
        ensure!(is_bound("179") && is_bound("3784"), "listeners for BGP and BFD: {bound}");

        // No peer is reachable through the loopback.
        write_objects(lab, 100, "64512:7", |spec| spec["vrf"] = json!("lo"))?;
        wait(WITHIN, || {
            let session = self::session(node)?;
            let error = session["last_error"].as_str().unwrap_or_default();
            let is_lost = session["vrf"] == "lo" && session["state"] != "established";
            ensure!(is_lost && error.contains("cannot connect"), "{session}");
            Ok(())
        })
    })
}

/// Returns the agent's status of its session.
fn session(node: &LabNode<'_>) -> Result<Value> {
    let status: Value = serde_json::from_str(&node.fairlead(&["status", "bgp", "-o", "json"])?)?;
    Ok(status["sessions"][0].clone())
}

/// FRR's counters of a peer.
#[derive(Debug, PartialEq, Eq)]
struct Counters {
    /// UPDATEs received, including End-of-RIB.
    updates: u64,
    established: u64,
    dropped: u64,
}

fn counters(frr: &Frr, node: &LabNode<'_>) -> Result<Counters> {
    let address = node.spec().addresses().of(IpVersion::V4).to_string();
    let text = frr.vtysh(&format!("show bgp neighbors {address} json"))?;
    let reported: Value = serde_json::from_str(&text)?;
    let reported = &reported[&address];
    let number = |value: &Value| value.as_u64().with_context(|| format!("no counter in {reported}"));
    Ok(Counters {
        updates: number(&reported["messageStats"]["updatesRecv"])?,
        established: number(&reported["connectionsEstablished"])?,
        dropped: number(&reported["connectionsDropped"])?,
    })
}

fn wait_community(frr: &Frr, community: &str) -> Result<()> {
    let (asn, value) = community.split_once(':').context("no community")?;
    let community = (asn.parse()?, value.parse()?);
    let has = |routes: &[fairlead_tests::routers::RouteView]| {
        !routes.is_empty() && routes.iter().all(|route| route.communities == [community].into())
    };
    frr.wait_routes(WEB_V4.into(), WITHIN, &has).map(drop)
}

/// Runs a test in a lab of one node with a pod.
fn run(test: impl FnOnce(&Lab, &LabNode<'_>) -> Result<()>) -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    let topology = topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local);
    topology.run(|lab| test(lab, &lab.node("n1")?))
}

fn gateway(node: &LabNode<'_>) -> Ipv4Addr {
    node.spec().segment().gateway().v4
}

fn router(lab: &Lab, node: &LabNode<'_>, edit: fn(RouterPeer) -> RouterPeer) -> Result<Frr> {
    let peer = RouterPeer::at(node.spec().addresses().of(IpVersion::V4), AGENTS_AS).source(gateway(node));
    Frr::start(&*lab.router()?, &RouterConfig::new(ROUTERS_AS, gateway(node)).peer(edit(peer)))
}

/// Writes the objects that make the agent a peer of the router.
fn write_objects(lab: &Lab, milliseconds: u64, community: &str, change: fn(&mut Value)) -> Result<()> {
    let mut peer = json!({
        "myASN": AGENTS_AS,
        "peerASN": ROUTERS_AS,
        "peerAddress": gateway(&lab.node("n1")?).to_string(),
        "holdTime": "9s",
        "connectTime": "1s",
    });
    change(&mut peer);
    let advertisement = json!({ "ipAddressPools": ["lab"], "communities": [community] });
    let objects = [
        bfd_profile("router", BfdTimers::every(Duration::from_millis(milliseconds))),
        metallb("v1beta2", "BGPPeer", "router", &peer),
        metallb("v1beta1", "BGPAdvertisement", "router", &advertisement),
    ];
    let directory = lab.outside(&lab.manifests_directory());
    // Write atomically, so that the agent never reads half of it.
    fs::write(directory.join(".bgp.draft"), yaml(&objects))?;
    Ok(fs::rename(directory.join(".bgp.draft"), directory.join("bgp.yaml"))?)
}
