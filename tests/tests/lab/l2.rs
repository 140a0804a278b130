//! Tests of announcement on the local network while no node fails: who answers ARP and neighbor discovery,
//! and where connections go.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;
use std::{env, iter};

use anyhow::{Context, Result, ensure};
use fairlead_tests::frr_router::FrrRouter;
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabHost};
use fairlead_tests::layer2::segment::{
    OBSERVER, flush_neighbors, mac_of, neighbor, observe, options, preferring, start_agents, topology, vips,
    wait_stable,
};
use fairlead_tests::layer2::{Detection, HostMac, SegmentLog};
use fairlead_tests::traffic::{TcpLoad, TcpReport};
use nix::sys::signal::Signal;

const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// The time from one question to the next.
const EVERY: Duration = Duration::from_millis(2);
/// A thousand questions of each family.
const QUESTIONS: usize = 2000;
/// Connections that are opened at a time.
const CONNECTIONS: usize = 60;

/// Asks until there are this many questions, and returns everything that was seen.
fn ask(lab: &Lab, addresses: &[IpAddr], questions: usize) -> Result<SegmentLog> {
    let observer = observe(lab, addresses, EVERY)?;
    while observer.questions() < questions {
        sleep(Duration::from_millis(100));
    }
    // The last answers.
    sleep(Duration::from_millis(100));
    observer.finish()
}

/// Checks that each question was answered once, and each address by one station, a node; returns the stations
/// in the order of the addresses.
fn answered_once(lab: &Lab, addresses: &[IpAddr], log: &SegmentLog) -> Result<Vec<HostMac>> {
    let nodes: BTreeSet<HostMac> =
        lab.nodes()?.iter().map(|node| mac_of(lab, node.name())).collect::<Result<_>>()?;
    ensure!(log.dropped == 0, "the observer had no room for {} frames", log.dropped);
    addresses
        .iter()
        .map(|address| {
            let (macs, counts) = (log.macs(*address), log.answers_per_question(*address));
            let (once, all) =
                (counts.iter().filter(|count| **count == 1).count(), counts.iter().sum::<usize>());
            let (Some((mac, _)), 1) = (macs.first_key_value(), macs.len()) else {
                anyhow::bail!("{address}: answers by {macs:?}")
            };
            // An answer that is delivered late, on a busy machine, counts for the next question.
            ensure!(
                all == counts.len() && once * 100 >= all * 95,
                "{address}: {all} answers to {} questions, {once} of them answered once",
                counts.len()
            );
            ensure!(nodes.contains(mac), "{address}: {mac} is no node");
            Ok(*mac)
        })
        .collect()
}

/// Opens connections to these addresses and returns the reports.
fn connect(host: &LabHost, addresses: &[IpAddr]) -> Result<Vec<TcpReport>> {
    let load = |address: &IpAddr| {
        let load = TcpLoad::to(SocketAddr::new(*address, ECHO_PORT)).connections(CONNECTIONS);
        load.rest(Duration::from_millis(50)).start(host)
    };
    let loads = addresses.iter().map(load).collect::<Result<Vec<_>>>()?;
    for load in &loads {
        load.wait_open(CONNECTIONS as u64, OPEN_WITHIN)?;
        load.wait_bytes(CONNECTIONS as u64 * 1024, OPEN_WITHIN)?;
    }
    loads
        .into_iter()
        .map(|load| {
            let report = load.finish()?;
            ensure!(report.failed() == 0, "{}: {report}", host.name());
            Ok(report)
        })
        .collect()
}

#[test]
fn every_question_gets_one_answer() -> Result<()> {
    topology(3, 4, ExternalPolicy::Local).run(|lab| {
        start_agents(lab, &options(Detection::DEFAULT))?;
        let addresses = vips(0..4);
        let log = ask(lab, &addresses, QUESTIONS)?;
        let macs = answered_once(lab, &addresses, &log)?;
        println!("{} questions, each answered once: {macs:?}", log.questions.len());
        // The neighbor tables of real hosts, which ask by broadcast and multicast, and later by unicast.
        let (observer, router, client) = (lab.host(OBSERVER)?, lab.router()?, lab.client()?);
        for round in 0..10 {
            for host in [observer, &*router] {
                flush_neighbors(host)?;
            }
            for (address, mac) in iter::zip(&addresses, &macs) {
                for (asker, table) in [(observer, observer), (client, &*router)] {
                    let text = ping(asker, *address).with_context(|| format!("round {round}"))?;
                    let known = neighbor(table, *address)?;
                    ensure!(known == *mac, "{}: {address} is at {known}, not {mac}: {text}", table.name());
                }
            }
        }
        for host in [observer, client] {
            for (report, address) in iter::zip(connect(host, &addresses[..2])?, &addresses) {
                println!("{} to {address}: {report}; {:?}", host.name(), report.by_node(lab));
                ensure!(
                    report.by_node(lab).len() == 3,
                    "the announcer serves alone: {:?}",
                    report.by_node(lab)
                );
            }
        }
        Ok(())
    })
}

fn ping(host: &LabHost, address: IpAddr) -> Result<String> {
    host.command("ping").args(["-q", "-c", "1", "-W", "2", &address.to_string()]).text()
}

/// The announcer answers while no agent runs, and no other node does: the decision is the program's, and time
/// stands still with the agents.
#[test]
fn announcers_go_on_without_agents() -> Result<()> {
    let seconds = if env::var_os("FAIRLEAD_SOAK").is_some() { 60 } else { 10 };
    for (what, signal) in [("suspended", Signal::SIGSTOP), ("killed", Signal::SIGKILL)] {
        topology(3, 4, ExternalPolicy::Local).run(|lab| {
            let mut options = options(Detection::DEFAULT);
            // Also when the bound is over: there is no other node that could take over.
            options.arguments.extend(["--dead-man", "3"].map(str::to_owned));
            start_agents(lab, &options)?;
            let addresses = vips(0..4);
            let before = answered_once(lab, &addresses, &ask(lab, &addresses, 200)?)?;
            lab.nodes()?.iter().try_for_each(|node| node.signal_agent(signal))?;
            let log = ask(lab, &addresses, seconds * 500)?;
            let during = answered_once(lab, &addresses, &log)?;
            ensure!(during == before, "{what}: {during:?} instead of {before:?}");
            println!("agents {what} for {seconds} s: {} questions, each answered once", log.questions.len());
            connect(lab.host(OBSERVER)?, &addresses[..2]).map(drop)
        })?;
    }
    Ok(())
}

/// The announcer needs no endpoint, and clients' addresses are preserved: it forwards to the nodes that have
/// one. MetalLB's rule is there for those who ask for it.
#[test]
fn a_local_service_is_announced_by_any_node() -> Result<()> {
    for needs_endpoint in [false, true] {
        let mut topology = preferring(topology(3, 1, ExternalPolicy::Local), &["n1", "n2"]);
        topology.pods.retain(|pod| pod.node != "n1");
        topology.run(|lab| {
            let mut options = options(Detection::DEFAULT);
            options.arguments.extend(needs_endpoint.then(|| "--local-needs-endpoint".to_owned()));
            start_agents(lab, &options)?;
            let addresses = vips(0..1);
            let macs = answered_once(lab, &addresses, &ask(lab, &addresses, 200)?)?;
            let announcer = if needs_endpoint { "n2" } else { "n1" };
            let expected = mac_of(lab, announcer)?;
            ensure!(macs.iter().all(|mac| *mac == expected), "{macs:?} instead of {announcer}, {expected}");
            let own = lab.topology().find_router(OBSERVER)?.addresses();
            for (report, address) in iter::zip(connect(lab.host(OBSERVER)?, &addresses)?, &addresses) {
                println!("announced by {announcer}: {address}: {report}; {:?}", report.by_node(lab));
                ensure!(
                    report.sources().into_keys().eq([own.of(IpVersion::of(*address))]),
                    "{:?}",
                    report.sources()
                );
                ensure!(report.by_node(lab).into_keys().eq(["n2", "n3"]), "{:?}", report.by_node(lab));
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The router has a route from BGP, and a host of the segment finds the same address by ARP.
#[test]
fn an_address_is_announced_and_advertised_by_bgp() -> Result<()> {
    topology(3, 1, ExternalPolicy::Local).run(|lab| {
        let frr_router = FrrRouter::start(lab, &['a'], Duration::from_millis(50))?;
        start_agents(lab, &options(Detection::DEFAULT))?;
        let addresses = vips(0..1);
        frr_router.wait_next_hops(&addresses, &["n1", "n2", "n3"], OPEN_WITHIN)?;
        answered_once(lab, &addresses, &ask(lab, &addresses, 500)?)?;
        for host in [lab.client()?, lab.host(OBSERVER)?] {
            for report in connect(host, &addresses)? {
                println!("{}: {report}; {:?}", host.name(), report.by_node(lab));
                ensure!(report.by_node(lab).len() == 3, "{:?}", report.by_node(lab));
            }
        }
        Ok(())
    })
}

/// All uplinks of a node receive every question; one answers.
#[test]
fn two_uplinks_on_one_lan_give_one_answer() -> Result<()> {
    preferring(topology(3, 2, ExternalPolicy::Local), &["n1"]).run(|lab| {
        lab.node("n1")?.add_port("eth1")?;
        let nodes = lab.nodes()?;
        for node in &nodes {
            let mut options = options(Detection::DEFAULT);
            if node.name() == "n1" {
                options.arguments.extend(["--interface", "eth1"].map(str::to_owned));
            }
            node.launch_agent(&options)?;
        }
        nodes.iter().try_for_each(|node| node.wait_agent_ready(LabAgentOptions::default().ready_within))?;
        wait_stable(lab)?;
        let addresses = vips(0..2);
        let macs = answered_once(lab, &addresses, &ask(lab, &addresses, 1000)?)?;
        let expected = mac_of(lab, "n1")?;
        ensure!(macs.iter().all(|mac| *mac == expected), "{macs:?} instead of {expected}, n1's eth0");
        connect(lab.host(OBSERVER)?, &addresses).map(drop)
    })
}
