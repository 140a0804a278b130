//! A test of a SYN flood beside live connections.

use std::env;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fairlead_tests::events::{ALL_NODES, Carrier, EventScenario, INITIAL_NODES, JOINING_NODE, cluster};
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{Lab, WEB_V4};
use fairlead_tests::stress::drop_flood;
use fairlead_tests::traffic::{TcpLoad, flood};

const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// Half of the connections talk all the time, half are silent during the flood.
const CONNECTIONS: [(usize, Duration); 2] =
    [(500, Duration::from_millis(300)), (500, Duration::from_secs(30))];
/// Outcomes of packets for this node.
const ARRIVED: [&str; 3] = ["local", "local_from_peer", "decapsulated"];

/// After the program, each node's stack drops the flood before connection tracking, whose limits are not
/// tested here. Then a node joins, which knows none of the flows that the flood might have evicted from the
/// program's table, and sends them to the node that must still own them.
#[test]
fn a_syn_flood_evicts_no_connection() -> Result<()> {
    let count = if env::var_os("FAIRLEAD_SOAK").is_some() { 1_200_000 } else { 250_000 };
    cluster().run(|lab| {
        let scenario = EventScenario::start(lab, Carrier::Fairlead)?;
        for node in lab.nodes()? {
            drop_flood(&node)?;
        }
        let SocketAddr::V4(target) = SocketAddr::new(WEB_V4, ECHO_PORT) else { bail!("the VIP is not IPv4") };
        let client = lab.client()?;
        let mut loads = Vec::new();
        for (connections, rest) in CONNECTIONS {
            let load = TcpLoad::to(target.into()).connections(connections).rest(rest).start(client)?;
            load.wait_open(connections as u64, OPEN_WITHIN)?;
            loads.push(load);
        }
        let arrived_before = arrived(lab)?;
        let flood = client.run(|| flood::syns(target, count))?;
        let arrived = arrived(lab)? - arrived_before;
        let rate = flood.sent as f64 / flood.took.as_secs_f64();
        println!("{} SYNs in {:.1?}, {rate:.0} a second; {arrived} packets arrived", flood.sent, flood.took);
        ensure!(arrived >= count, "only {arrived} packets of {count} SYNs arrived");
        scenario.join(JOINING_NODE)?;
        scenario.route(&ALL_NODES)?;
        sleep(Duration::from_secs(2));
        for load in loads {
            let report = load.finish()?;
            println!("{report}");
            ensure!(report.failed() == 0, "{report}");
        }
        Ok(())
    })
}

/// Returns the number of packets for VIPs that reached their node, over all nodes.
fn arrived(lab: &Lab) -> Result<u64> {
    let mut sum = 0;
    for name in INITIAL_NODES {
        let status = lab.node(name)?.status()?;
        let outcomes = status["outcomes"].as_array().context("no outcomes")?;
        let arrived = outcomes.iter().filter(|it| ARRIVED.iter().any(|name| it["name"] == *name));
        sum += arrived.filter_map(|it| it["packets"].as_u64()).sum::<u64>();
    }
    Ok(sum)
}
