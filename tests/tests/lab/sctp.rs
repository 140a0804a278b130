//! Tests that SCTP associations stay with their pods while routes change; without Fairlead they do not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::topology::SCTP_PORT;
use fairlead_tests::lab::{FAR_V4, Lab, LabAgentOptions, SHARED_V4, Topology, WEB_V4, agents};
use fairlead_tests::traffic::sctp::v4;
use fairlead_tests::traffic::{SctpLoad, SctpReport, SctpServer};

const ASSOCIATIONS: u16 = 120;
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// Longer than the last heartbeats may stay unanswered.
const AFTER_A_CHANGE: Duration = Duration::from_secs(2);

#[test]
fn associations_survive_a_route_change() -> Result<()> {
    with_sctp(|lab| {
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        for (vip, pods) in [(WEB_V4, 6), (SHARED_V4, 6), (FAR_V4, 4)] {
            let report = through_a_change(lab, vip)?;
            println!("{vip}: {report:?}");
            ensure!(report.aborted == 0 && report.silent == 0, "{vip}: {report:?}");
            ensure!(report.by_pod.len() == pods, "{vip}: every pod serves: {report:?}");
        }
        Ok(())
    })
}

/// Shows that the test above can fail.
#[test]
fn without_fairlead_a_route_change_ends_associations() -> Result<()> {
    with_sctp(|lab| {
        let report = through_a_change(lab, WEB_V4)?;
        println!("{report:?}");
        ensure!(report.aborted + report.silent > 20, "a third of them must lose their node: {report:?}");
        Ok(())
    })
}

/// Opens associations through three nodes, and removes one from the router's next hops.
fn through_a_change(lab: &Lab, vip: IpAddr) -> Result<SctpReport> {
    lab.router()?.set_next_hops(vip, &["n1", "n2", "n3"])?;
    let target = v4(SocketAddr::new(vip, SCTP_PORT))?;
    let load = SctpLoad::start(lab.client()?, target, ASSOCIATIONS)?;
    load.wait_open(ASSOCIATIONS.into(), OPEN_WITHIN)?;
    lab.router()?.set_next_hops(vip, &["n2", "n1"])?;
    std::thread::sleep(AFTER_A_CHANGE);
    load.finish()
}

fn with_sctp(test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    Topology::standard().with_sctp().run(|lab| {
        let pods: Vec<String> = lab.topology().pods.iter().map(|pod| pod.name.clone()).collect();
        let servers: Result<Vec<SctpServer>> =
            pods.iter().map(|pod| SctpServer::start(lab.host(pod)?, SCTP_PORT)).collect();
        let _servers = servers.context("SCTP in the pods")?;
        test(lab)
    })
}
