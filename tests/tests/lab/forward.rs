//! Tests of real connections through the XDP program: forwarded by MAC rewrite, GUE and IP in IP, found by
//! ARP, and not disturbed by restarts of the agent.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use fairlead_tests::lab::{
    FAR_V4, Lab, LabAgentOptions, SHARED_V4, SHARED_V6, Topology, WEB_V4, WEB_V6, agents,
};
use fairlead_tests::traffic::{TcpLoad, UdpLoad};
use serde_json::json;

const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// All routes lead to rack a, so that packets for n4 and n5 must be encapsulated.
const ENTRANCES: [&str; 3] = ["n1", "n2", "n3"];

fn with_agents(test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    with_agents_of(&LabAgentOptions::default(), test)
}

fn with_agents_of(options: &LabAgentOptions, test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    // The router's segment: a node of another rack would answer there alone.
    let layer2 = json!({
        "ipAddressPools": ["lab"],
        "nodeSelectors": [{ "matchLabels": { "topology.kubernetes.io/zone": "rack-a" } }],
    });
    Topology { layer2, ..Topology::standard() }.run(|lab| {
        for vip in [WEB_V4, WEB_V6, SHARED_V4, SHARED_V6, FAR_V4] {
            lab.router()?.set_next_hops(vip, &ENTRANCES)?;
        }
        agents::start(&lab.nodes()?, options)?;
        test(lab)
    })
}

fn client_address(vip: IpAddr) -> IpAddr {
    if vip.is_ipv4() {
        IpAddr::from([192, 0, 2, 11])
    } else {
        IpAddr::from([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x11])
    }
}

/// Returns the number of packets with this outcome, over all nodes.
fn counted(lab: &Lab, outcome: &str) -> Result<u64> {
    let mut sum = 0;
    for node in lab.nodes()? {
        let status = node.status()?;
        let outcomes = status["outcomes"].as_array().context("no outcomes")?;
        sum += outcomes
            .iter()
            .filter(|o| o["name"] == outcome)
            .filter_map(|o| o["packets"].as_u64())
            .sum::<u64>();
    }
    Ok(sum)
}

#[test]
fn connections_reach_their_nodes_and_preserve_the_client_address() -> Result<()> {
    with_agents(|lab| {
        for (vip, pods) in [(WEB_V4, 6), (WEB_V6, 6), (FAR_V4, 4)] {
            let load = TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(400).start(lab.client()?)?;
            load.wait_open(400, OPEN_WITHIN)?;
            load.wait_bytes(400 * 1024, OPEN_WITHIN)?;
            let report = load.finish()?;
            println!("{vip}: {report}; {:?}", report.by_node(lab));
            ensure!(report.failed() == 0, "{report}");
            ensure!(report.by_pod().len() == pods, "every pod serves: {:?}", report.by_pod());
            ensure!(report.sources().into_keys().eq([client_address(vip)]), "{:?}", report.sources());
        }
        ensure!(counted(lab, "forwarded_l2")? > 1000, "most packets for n1 to n3 enter at another of them");
        ensure!(counted(lab, "forwarded_gue")? > 1000, "all packets for n4 and n5 enter at rack a");
        encapsulated_packets_arrive(lab)?;
        ensure!(counted(lab, "no_way")? == 0 && counted(lab, "too_big")? == 0);
        Ok(())
    })
}

/// Checks that encapsulated packets arrive; everything is encapsulated here, even where a MAC rewrite would
/// do. Each encapsulated packet reaches a stack; so do packets that a node passes on to ask, which do not
/// count as forwarded.
fn encapsulated_packets_arrive(lab: &Lab) -> Result<()> {
    let sum = |names: &[&str]| names.iter().map(|name| counted(lab, name)).sum::<Result<u64>>();
    let forwarded = sum(&["forwarded_gue", "forwarded_ipip"])?;
    let arrived = sum(&["decapsulated", "local_by_kernel"])?;
    ensure!(
        arrived >= forwarded,
        "{forwarded} packets were forwarded to another node, but {arrived} arrived"
    );
    let lost = sum(&["bad_gue", "bad_tag", "inner_not_vip", "no_headroom", "no_home", "ttl_expired"])?;
    ensure!(lost == 0, "{lost} packets between nodes were dropped");
    Ok(())
}

#[test]
fn connections_reach_their_nodes_by_ip_in_ip() -> Result<()> {
    let arguments = ["--forwarding", "ipip"].map(str::to_owned).to_vec();
    with_agents_of(&LabAgentOptions { arguments, ..LabAgentOptions::default() }, |lab| {
        for (vip, pods) in [(WEB_V4, 6), (WEB_V6, 6), (FAR_V4, 4)] {
            let load = TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(200).start(lab.client()?)?;
            load.wait_open(200, OPEN_WITHIN)?;
            load.wait_bytes(200 * 1024, OPEN_WITHIN)?;
            let report = load.finish()?;
            println!("{vip}: {report}; {:?}", report.by_node(lab));
            ensure!(report.failed() == 0, "{report}");
            ensure!(report.by_pod().len() == pods, "every pod serves: {:?}", report.by_pod());
            ensure!(report.sources().into_keys().eq([client_address(vip)]), "{:?}", report.sources());
        }
        ensure!(counted(lab, "forwarded_ipip")? > 1000, "most packets enter at another node");
        encapsulated_packets_arrive(lab)?;
        ensure!(counted(lab, "forwarded_l2")? == 0 && counted(lab, "forwarded_gue")? == 0);
        ensure!(counted(lab, "no_way")? == 0 && counted(lab, "too_big")? == 0);
        Ok(())
    })
}

#[test]
fn datagrams_of_a_flow_stay_on_one_pod() -> Result<()> {
    with_agents(|lab| {
        for vip in [WEB_V4, WEB_V6, FAR_V4] {
            let load = UdpLoad::to(SocketAddr::new(vip, DATAGRAM_PORT)).flows(40).start(lab.client()?)?;
            load.wait_open(40, OPEN_WITHIN)?;
            lab.router()?.set_next_hops(vip, &["n3", "n1"])?;
            load.wait_bytes(40 * 2000, OPEN_WITHIN)?;
            let report = load.finish()?;
            println!("{vip}: {report}");
            ensure!(report.lost() == 0 && report.wrong() == 0 && report.moved() == 0, "{report}");
        }
        Ok(())
    })
}

/// The counterpart of `lab_baseline::a_rehash_breaks_connections`.
#[test]
fn a_rehash_breaks_nothing() -> Result<()> {
    with_agents(|lab| {
        let load =
            TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(400).patience(Duration::from_secs(4));
        let load = load.start(lab.client()?)?;
        load.wait_open(400, OPEN_WITHIN)?;
        for hops in [&["n1", "n2"][..], &["n3"], &["n3", "n1", "n2"], &["n2", "n3"]] {
            lab.router()?.set_next_hops(WEB_V4, hops)?;
            std::thread::sleep(Duration::from_millis(700));
        }
        let report = load.finish()?;
        println!("four rehashes: {report}");
        ensure!(report.failed() == 0, "{report}");
        Ok(())
    })
}

/// The kernel state does not depend on the agent, and the next agent takes it over.
#[test]
fn stopped_and_killed_agents_lose_no_packet() -> Result<()> {
    with_agents(|lab| {
        let tcp = TcpLoad::to(SocketAddr::new(FAR_V4, ECHO_PORT)).connections(200).start(lab.client()?)?;
        let udp = UdpLoad::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT)).flows(20).start(lab.client()?)?;
        tcp.wait_open(200, OPEN_WITHIN)?;
        udp.wait_open(20, OPEN_WITHIN)?;
        // What nodes say of themselves after their start has settled.
        std::thread::sleep(Duration::from_secs(1));
        for (place, node) in lab.nodes()?.iter().enumerate() {
            if place % 2 == 0 { node.kill_agent()? } else { node.stop_agent(Duration::from_secs(5))? }
        }
        std::thread::sleep(Duration::from_secs(1));
        for node in lab.nodes()? {
            node.start_agent(&LabAgentOptions::default())?;
            let status = node.status()?;
            ensure!(status["interfaces"][0]["mode"] == "native", "{}", status["interfaces"]);
            ensure!(node.agent_log().contains("adopted the XDP program"), "{}", node.agent_log());
            ensure!(status["last"]["operations"] == 0, "nothing had changed: {}", status["last"]);
        }
        let (tcp, udp) = (tcp.finish()?, udp.finish()?);
        println!("{tcp}; {udp}");
        ensure!(tcp.failed() == 0, "{tcp}");
        ensure!(udp.lost() == 0 && udp.moved() == 0, "{udp}");
        Ok(())
    })
}

/// Layer 2: the router finds a VIP by ARP, at one node, which forwards packets to all.
#[test]
fn a_vip_answers_arp_and_ping() -> Result<()> {
    with_agents(|lab| {
        let router = lab.router()?;
        router.ip(&[format!("route replace {WEB_V4}/32 dev rack-a")])?;
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(100).start(lab.client()?)?;
        load.wait_open(100, OPEN_WITHIN)?;
        let report = load.finish()?;
        println!("by ARP: {report}; {:?}", report.by_node(lab));
        ensure!(report.failed() == 0 && report.by_node(lab).len() == 3, "{report}");
        // The announcement at the start may have come before the answer to a request.
        router.command("ip").args(["neigh", "flush", "to", &WEB_V4.to_string()]).text()?;
        let ping = ["-c", "1", "-W", "2", &WEB_V4.to_string()].map(str::to_owned);
        router.command("ping").args(&ping).text().context("ping from the router")?;
        ensure!(counted(lab, "arp_answered")? > 0, "no node replied");
        let neighbors = router.command("ip").args(["neigh", "show", &WEB_V4.to_string()]).text()?;
        ensure!(neighbors.lines().count() == 1, "one node must reply: {neighbors}");
        for vip in [WEB_V4, WEB_V6] {
            let ping = ["-c", "3", "-i", "0.2", "-W", "2", &vip.to_string()].map(str::to_owned);
            let text = lab.client()?.command("ping").args(&ping).text().context("ping")?;
            ensure!(text.contains("3 received"), "{text}");
        }
        ensure!(counted(lab, "echo_answered")? == 7, "each echo is answered once");
        Ok(())
    })
}
