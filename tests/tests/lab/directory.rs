//! Tests of a directory of objects under connections: files written slowly, and damage of every kind.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::directory_soak;
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{ExternalPolicy, LabAgentOptions, Topology, WEB_V4, WEB_V6, agents};
use fairlead_tests::routers::wait;
use fairlead_tests::traffic::TcpLoad;
use serde_json::Value;

const CONNECTIONS: usize = 200;
const WITHIN: Duration = Duration::from_secs(30);
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// The pause between the two halves of a file.
const GAP: Duration = Duration::from_millis(300);
const SEED: u64 = 0xfa1e_1ead;

/// Writes as `cp` of a large file, `scp` and a redirect do: each file, and all of them at once.
#[test]
fn a_file_written_in_two_parts_breaks_no_connection() -> Result<()> {
    let mut topology = Topology::empty();
    for (number, node) in (1..).zip(NODES) {
        topology = topology.node('a', number).pods(node, "web", 1);
    }
    topology.service("web", "web", &[WEB_V4, WEB_V6], ExternalPolicy::Local).run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &NODES)?;
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        let load = TcpLoad::to(SocketAddr::new(WEB_V4, ECHO_PORT)).connections(CONNECTIONS);
        let load = load.rest(Duration::from_millis(100)).start(lab.client()?)?;
        load.wait_open(CONNECTIONS as u64, WITHIN)?;
        let directory = lab.outside(&lab.manifests_directory());
        let files = ["services", "endpointslices", "nodes", "metallb"];
        let paths = files.map(|name| directory.join(format!("{name}.yaml")));
        let rounds = paths.iter().map(|path| vec![path]).chain([paths.iter().collect()]);
        for paths in rounds {
            let mut writing = Vec::new();
            for path in paths {
                let text = fs::read_to_string(path)?;
                let (first, rest) = text.split_at(text.len() / 2);
                let mut file = File::create(path)?;
                file.write_all(first.as_bytes())?;
                writing.push((file, rest.to_owned()));
            }
            sleep(GAP);
            for node in lab.nodes()? {
                serves(&node.status()?, 2)?;
            }
            load.wait_bytes(200 * 512, WITHIN)?;
            for (mut file, rest) in writing {
                file.write_all(rest.as_bytes())?;
            }
            load.wait_bytes(200 * 512, WITHIN)?;
        }
        let broken = load.finish()?.failures().count();
        ensure!(broken == 0, "{broken} of {CONNECTIONS} connections broke");
        // A complete file takes effect: here an address outside every pool.
        let path = directory.join("services.yaml");
        fs::write(&path, fs::read_to_string(&path)?.replace(&WEB_V4.to_string(), "203.0.113.99"))?;
        for node in lab.nodes()? {
            wait(WITHIN, || serves(&node.status()?, 1))?;
        }
        Ok(())
    })
}

fn serves(status: &Value, vips: usize) -> Result<()> {
    let ports = status["services"][0]["vips"].as_array().context("no VIPs")?;
    let served: BTreeSet<_> = ports.iter().filter_map(|port| port["address"].as_str()).collect();
    ensure!(served.len() == vips, "{served:?}: {status:#}");
    Ok(())
}

/// `FAIRLEAD_SEED` sets the seed, `FAIRLEAD_DAMAGE_SECONDS` the duration.
#[test]
fn damage_to_the_directory_stops_no_agent_and_affects_no_valid_object() -> Result<()> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("FAIRLEAD_SEED").unwrap_or(SEED);
    println!("seed {seed}");
    let report =
        directory_soak::run(seed, Duration::from_secs(number("FAIRLEAD_DAMAGE_SECONDS").unwrap_or(20)))?;
    println!("{report}");
    Ok(())
}
