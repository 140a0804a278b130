//! Tests of the product's promises: two thousand connections survive each event; the same events with only a
//! router and kube-proxy, for comparison.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use fairlead_tests::events::{
    Carrier, ClusterEvent, CostTable, DOUBLING, EVENTS, EventLoadReport, EventScenario, cluster,
};
use fairlead_tests::lab::Lab;
use fairlead_tests::lab::topology::LabServiceSpec;
use fairlead_tests::traffic::FailureCause;

/// The others' probes and the hold take 1.2 s, and the client's retransmissions are up to 0.8 s apart by
/// then; the rest is for two busy cores.
const RESET_WITHIN: Duration = Duration::from_millis(2500);

/// All in one test: the two labs are compared, and in parallel the second would slow down the first.
#[test]
fn no_event_breaks_a_connection_except_the_death_of_its_node() -> Result<()> {
    let mut costs = CostTable::default();
    let mut complaints = Vec::new();
    for carrier in [Carrier::Fairlead, Carrier::Ecmp] {
        cluster().run(|lab| {
            let scenario = EventScenario::start(lab, carrier)?;
            for event in chosen().filter(|event| event.carriers.contains(&carrier)) {
                let (report, began) = event.run(&scenario).with_context(|| event.name)?;
                println!("{carrier:?}: {}: {report}", event.name);
                if let Err(complaint) = judge(event, &scenario, &report, began) {
                    complaints.push(format!("{carrier:?}: {}: {complaint}", event.name));
                }
                costs.note(event, carrier, &report);
            }
            ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
            Ok(())
        })?;
    }
    println!("\n{costs}");
    Ok(())
}

/// A flow's slot changes with the number of slots, and the leader of its old slot may be in the new
/// one only as a former leader.
#[test]
fn a_join_that_doubles_the_ring_breaks_no_connection() -> Result<()> {
    cluster().run(|lab| {
        let scenario = EventScenario::start_with(lab, Carrier::Fairlead, DOUBLING)?;
        let event = EVENTS.iter().find(|event| event.name == "node joins").context("no such event")?;
        let (report, began) = event.run(&scenario)?;
        println!("{report}");
        judge(event, &scenario, &report, began)
    })
}

/// Returns all events, or those whose names contain `FAIRLEAD_EVENTS`.
fn chosen() -> impl Iterator<Item = &'static ClusterEvent> {
    let words = env::var("FAIRLEAD_EVENTS").unwrap_or_default();
    EVENTS.iter().filter(move |event| event.name.contains(&words))
}

/// Until a new node has written all its VIPs, it must not answer probes: its stack would reset the
/// connections of the others.
#[test]
fn a_join_among_thousands_of_services_breaks_no_connection() -> Result<()> {
    cluster().run(|lab| {
        add_services(lab, 4000)?;
        let scenario = EventScenario::start(lab, Carrier::Fairlead)?;
        let event = EVENTS.iter().find(|event| event.name == "node joins").context("no such event")?;
        let (report, began) = event.run(&scenario)?;
        println!("{report}");
        judge(event, &scenario, &report, began)
    })
}

/// Adds Services without clients to the agents' objects, in files of their own.
fn add_services(lab: &Lab, count: u32) -> Result<()> {
    let mut topology = lab.topology().clone();
    let web = topology.services.first().context("no Service")?.clone();
    let service = |number: u32| {
        // Lower addresses are written first.
        let [.., a, b] = number.to_be_bytes();
        LabServiceSpec { name: format!("s{number}"), vips: vec![IpAddr::from([10, 99, a, b])], ..web.clone() }
    };
    topology.services = (0..count).map(service).collect();
    let written = tempfile::tempdir()?;
    topology.write_manifests(written.path())?;
    let directory = lab.outside(&lab.manifests_directory());
    for kind in ["endpointslices", "metallb", "services"] {
        let text = fs::read_to_string(written.path().join(format!("{kind}.yaml")))?;
        // The pool and its advertisement have a name of their own.
        let text = text.replace("name: lab\n", "name: more\n");
        fs::write(directory.join(format!("more-{kind}.yaml")), text)?;
    }
    Ok(())
}

fn judge(
    event: &ClusterEvent,
    scenario: &EventScenario<'_>,
    report: &EventLoadReport,
    began: Instant,
) -> Result<()> {
    let by_pod = report.connections().filter(|it| it.pod.is_some()).count();
    ensure!(by_pod >= 2000, "only {by_pod} connections were open");
    match scenario.carrier {
        Carrier::Fairlead => match event.kills {
            None => ensure!(report.broken() == 0, "{report}"),
            Some(node) => only_of(node, scenario.lab, report, began)?,
        },
        // A comparison in which nothing breaks proves nothing.
        Carrier::Ecmp => ensure!(!event.breaks_with_ecmp || report.broken() > 0, "nothing broke: {report}"),
    }
    Ok(())
}

/// Checks that all connections of the node, and no others, were reset in time.
fn only_of(node: &str, lab: &Lab, report: &EventLoadReport, began: Instant) -> Result<()> {
    let (all, broken) = report.of_node(lab, node);
    let delays = report.delays(began);
    let (first, last) = (delays.first().context("nothing broke")?, delays.last().context("nothing broke")?);
    let median = delays[delays.len() / 2];
    println!("  reset: the first after {first:.3?}, half after {median:.3?}, the last after {last:.3?}");
    ensure!(all > 100 && all == broken, "{broken} of {all} connections of {node} broke");
    ensure!(report.broken() == broken, "{} connections of other nodes broke", report.broken() - broken);
    ensure!(report.causes() == BTreeMap::from([(FailureCause::Reset, broken)]), "{:?}", report.causes());
    ensure!(*last < RESET_WITHIN, "the last client was reset after {last:?}");
    Ok(())
}
