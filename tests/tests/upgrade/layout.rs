//! Agents replaced one after the other by another build: with another program, with another map layout, and
//! back. No connection breaks, no datagram is lost, no counter goes back, and former leaders stay known.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData};
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use fairlead_tests::traffic::{TcpLoad, UdpLoad};
use lb_common::map_table::{LAYOUT, name};
use lb_common::ring::{NO_NODE, Slot};
use lb_dataplane::pins::Pins;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 300;
const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// An agent's build: its name, its binary (without one, the product's), and its map layout.
struct Build {
    name: &'static str,
    binary: Option<PathBuf>,
    layout: u32,
}

impl Build {
    fn product() -> Self {
        Self { name: "the product", binary: None, layout: LAYOUT }
    }

    fn variant(name: &'static str, variable: &str, layout: u32) -> Result<Self> {
        let binary = env::var_os(variable).with_context(|| format!("{variable} names no binary"))?;
        Ok(Self { name, binary: Some(binary.into()), layout })
    }

    fn options(&self) -> LabAgentOptions {
        LabAgentOptions { binary: self.binary.clone(), ..LabAgentOptions::default() }
    }
}

#[test]
fn another_program_with_the_same_maps_is_an_upgrade_without_loss() -> Result<()> {
    let other = Build::variant("another program", "FAIRLEAD_BIN_OTHER_PROGRAM", LAYOUT)?;
    upgrade(&[other, Build::product()])
}

#[test]
fn another_layout_of_the_maps_is_an_upgrade_without_loss_and_so_is_the_way_back() -> Result<()> {
    let next = Build::variant("the next layout", "FAIRLEAD_BIN_NEXT_LAYOUT", LAYOUT + 1)?;
    upgrade(&[next, Build::product()])
}

/// Starts a cluster with the product, and replaces its agents by each build in turn under traffic.
fn upgrade(builds: &[Build]) -> Result<()> {
    let mut topology = Topology::empty();
    for number in 1..=3 {
        topology = topology.node('a', number).pods(&format!("n{number}"), "web", 1);
    }
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local).run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &NODES)?;
        agents::start(&lab.nodes()?, &Build::product().options())?;
        make_former_leaders(lab)?;
        let tcp = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(CONNECTIONS);
        let tcp = tcp.start(lab.client()?)?;
        tcp.wait_open(CONNECTIONS as u64, WITHIN)?;
        let udp = UdpLoad::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT));
        let udp = udp.flows(20).interval(Duration::from_millis(20)).start(lab.client()?)?;
        let mut layout = LAYOUT;
        for build in builds {
            for node in lab.nodes()? {
                replace(&node, layout, build)
                    .with_context(|| format!("{} by {}", node.spec().name, build.name))?;
                agents::wait_alive(&lab.nodes()?, WITHIN)?;
            }
            layout = build.layout;
        }
        let (tcp, udp) = (tcp.finish()?, udp.finish()?);
        println!("{tcp}; {} datagrams, {} lost", udp.sent(), udp.lost());
        ensure!(tcp.failed() == 0 && tcp.by_node(lab).len() == 3, "{tcp}: {:?}", tcp.causes());
        ensure!(udp.lost() == 0 && udp.wrong() == 0, "{} of {} datagrams lost", udp.lost(), udp.sent());
        Ok(())
    })
}

/// Takes a pod out of the ring and puts it back, so that slots remember leaders.
fn make_former_leaders(lab: &Lab) -> Result<()> {
    let set = |ready| {
        lab.update(|topology| {
            topology.pod_mut("n3-2")?.ready = ready;
            Ok(())
        })
    };
    set(false)?;
    thread::sleep(Duration::from_secs(1));
    set(true)?;
    let node = lab.node("n1")?;
    node.wait_status("remembers leaders", WITHIN, |_| Ok(former_leaders(&node, LAYOUT)? > 0))
}

/// Replaces the agent of a node, and compares what is known before and after.
fn replace(node: &LabNode<'_>, layout: u32, build: &Build) -> Result<()> {
    let former = former_leaders(node, layout)?;
    let counters = counters(&node.status()?)?;
    let log = node.agent_log().len();
    node.stop_agent(WITHIN)?;
    node.start_agent(&build.options())?;
    // The switch follows the first plan.
    thread::sleep(Duration::from_secs(1));
    let after = self::counters(&node.status()?)?;
    for (counter, before) in &counters {
        let now = after.get(counter).copied().unwrap_or_default();
        ensure!(now >= *before, "{counter} went back from {before} to {now}");
    }
    let still = former_leaders(node, build.layout)?;
    println!("{} by {}: {still} of {former} former leaders", node.spec().name, build.name);
    ensure!(still == former && former > 0, "{still} of {former} former leaders");
    let log = node.agent_log().split_off(log);
    let is_carried = log.contains("carried the maps of another layout over");
    ensure!(is_carried == (build.layout != layout), "carried over: {is_carried}: {log}");
    let root = pins(node, layout).directory();
    let root = root.parent().context("no directory of pins")?;
    let directories = std::fs::read_dir(root)?.count();
    ensure!(directories == 1 && pins(node, build.layout).link("eth0").exists(), "pins of {}", root.display());
    Ok(())
}

/// Returns the counters of traffic and outcomes, by name.
fn counters(status: &Value) -> Result<BTreeMap<String, u64>> {
    let mut counters = BTreeMap::new();
    for (list, key) in [("outcomes", "name"), ("vip_traffic", "number"), ("node_traffic", "number")] {
        for counter in agents::list(status, list)? {
            let packets = counter["packets"].as_u64().with_context(|| format!("{list}: {counter}"))?;
            counters.insert(format!("{list} {}", counter[key]), packets);
        }
    }
    ensure!(counters.values().any(|packets| *packets > 0), "nothing is counted: {status}");
    Ok(counters)
}

/// Returns the number of former leaders in all slots of rings.
fn former_leaders(node: &LabNode<'_>, layout: u32) -> Result<usize> {
    let map = MapData::from_pin(pins(node, layout).map(name::RINGS))?;
    let slots: Array<_, Slot> = Map::from_map_data(map)?.try_into()?;
    let mut former = 0;
    for slot in 0..slots.len() {
        let slot = slots.get(&slot, 0)?;
        // A slot that was never written is all zero.
        if slot.former.iter().any(|node| *node != 0) {
            former += slot.former.iter().filter(|node| **node != NO_NODE).count();
        }
    }
    Ok(former)
}

fn pins(node: &LabNode<'_>, layout: u32) -> Pins {
    Pins::of_layout(&node.directory_outside().join("bpf"), layout)
}
