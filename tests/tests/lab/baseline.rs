//! Tests of the lab without Fairlead: what a router and kube-proxy do alone, and what they break.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use fairlead_tests::lab::{FAR_V4, Lab, SHARED_V4, SHARED_V6, Topology, WEB_V4, WEB_V6};
use fairlead_tests::traffic::{TcpLoad, UdpLoad};

const OPEN_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn services_answer_over_both_families() -> Result<()> {
    let begun = Instant::now();
    standard(|lab| {
        println!("the lab started in {:?}", begun.elapsed());
        for vip in [WEB_V4, WEB_V6, FAR_V4] {
            ensure!(source_seen(lab, vip)? == client_address(vip), "Local preserves the client's address");
        }
        for vip in [SHARED_V4, SHARED_V6] {
            let seen = source_seen(lab, vip)?;
            let nodes = lab.nodes()?;
            ensure!(nodes.iter().any(|node| node.spec().owns(seen)), "{seen} is not a node's address");
        }
        Ok(())
    })
}

#[test]
fn connections_survive_and_are_spread_over_nodes() -> Result<()> {
    standard(|lab| {
        for vip in [WEB_V4, WEB_V6] {
            let load = TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(200).start(lab.client()?)?;
            load.wait_open(200, OPEN_WITHIN)?;
            load.wait_bytes(200 * 1024, OPEN_WITHIN)?;
            let report = load.finish()?;
            println!("{vip}: {report}; {:?}", report.by_node(lab));
            ensure!(report.failed() == 0, "{report}");
            ensure!(report.sources().into_keys().eq([client_address(vip)]), "{:?}", report.sources());
            ensure!(report.by_pod().len() == 6, "every pod serves: {:?}", report.by_pod());
            ensure!(report.by_node(lab).values().all(|share| share.flows > 30), "{:?}", report.by_node(lab));
        }
        Ok(())
    })
}

/// The number of connections that the product's promises are tested with.
#[test]
fn two_thousand_concurrent_connections_survive() -> Result<()> {
    standard(|lab| {
        let target = SocketAddr::new(WEB_V4, ECHO_PORT);
        let load = TcpLoad::to(target).connections(2000).rest(Duration::from_secs(1)).start(lab.client()?)?;
        load.wait_open(2000, OPEN_WITHIN)?;
        load.wait_bytes(2000 * 1024, OPEN_WITHIN)?;
        let report = load.finish()?;
        let opened = report.connections.iter().map(|connection| connection.opened).max();
        println!("{report}; all open after {opened:?}, ended after {:?}", report.elapsed);
        ensure!(report.failed() == 0, "{report}");
        Ok(())
    })
}

#[test]
fn datagrams_are_answered() -> Result<()> {
    standard(|lab| {
        for vip in [WEB_V4, WEB_V6] {
            let load = UdpLoad::to(SocketAddr::new(vip, DATAGRAM_PORT)).flows(20).start(lab.client()?)?;
            load.wait_open(20, OPEN_WITHIN)?;
            load.wait_bytes(20 * 2000, OPEN_WITHIN)?;
            let report = load.finish()?;
            println!("{vip}: {report}");
            ensure!(report.lost() == 0 && report.wrong() == 0 && report.moved() == 0, "{report}");
        }
        Ok(())
    })
}

/// Shows that the tests of the promises can fail: without Fairlead, a rehash of the router breaks
/// connections.
#[test]
fn a_rehash_breaks_connections() -> Result<()> {
    standard(|lab| {
        let target = SocketAddr::new(WEB_V4, ECHO_PORT);
        let load = TcpLoad::to(target).connections(200).patience(Duration::from_secs(4));
        let load = load.start(lab.client()?)?;
        load.wait_open(200, OPEN_WITHIN)?;
        lab.router()?.set_next_hops(WEB_V4, &["n1", "n2"])?;
        load.wait_bytes(100 * 1024, OPEN_WITHIN)?;
        std::thread::sleep(Duration::from_secs(1));
        let report = load.finish()?;
        println!("one of three next hops removed: {report}");
        ensure!(report.failed() > 30, "a third of the connections lose their node: {report}");
        Ok(())
    })
}

/// Under policy Local, a node without a pod drops packets; so does a node whose link is cut.
#[test]
fn a_node_without_pods_or_link_drops_packets() -> Result<()> {
    standard(|lab| {
        let router = lab.router()?;
        router.set_next_hops(WEB_V4, &["n4"])?;
        ensure!(source_seen(lab, WEB_V4).is_err(), "n4 has no pod of this Service");
        router.set_next_hops(WEB_V4, &["n1"])?;
        ensure!(source_seen(lab, WEB_V4).is_ok());
        lab.node("n1")?.cut_link()?;
        ensure!(source_seen(lab, WEB_V4).is_err(), "the link is cut");
        lab.node("n1")?.restore_link()?;
        ensure!(source_seen(lab, WEB_V4).is_ok(), "the link is back");
        lab.update(|cluster| {
            cluster.pods.iter_mut().filter(|pod| pod.node == "n1").for_each(|pod| pod.ready = false);
            Ok(())
        })?;
        ensure!(source_seen(lab, WEB_V4).is_err(), "no pod of n1 is ready");
        Ok(())
    })
}

/// Runs a test in the standard lab, with every VIP spread over the nodes that serve it.
fn standard(test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    Topology::standard().run(|lab| {
        let router = lab.router()?;
        for vip in [WEB_V4, WEB_V6, SHARED_V4, SHARED_V6] {
            router.set_next_hops(vip, &["n1", "n2", "n3"])?;
        }
        router.set_next_hops(FAR_V4, &["n4", "n5"])?;
        test(lab)
    })
}

/// Queries nginx behind a VIP for the client address it sees.
fn source_seen(lab: &Lab, vip: IpAddr) -> Result<IpAddr> {
    let url = format!("http://{}/", SocketAddr::new(vip, 80));
    let body = lab.client()?.command("curl").args(["-sS", "-m", "2", "-g", &url]).text()?;
    let (_, client) = body.trim().split_once("client=").ok_or_else(|| anyhow::anyhow!("{body}"))?;
    Ok(client.parse()?)
}

fn client_address(vip: IpAddr) -> IpAddr {
    if vip.is_ipv4() { [192, 0, 2, 11].into() } else { [0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x11].into() }
}
