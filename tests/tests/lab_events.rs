//! The promises, with two thousand connections alive through each event; beside them the same events where a
//! router and kube-proxy are on their own, so that one sees what the promises are worth.

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::events::{
    Carrier, ClusterEvent, CostTable, DOUBLING, EVENTS, EventLoadReport, EventScenario, cluster,
};
use fairlead_tests::lab::Lab;
use fairlead_tests::traffic::FailureCause;

/// The others' probes and the grace for orphans take 1.2 s, and the client's retransmissions are up to 0.8 s
/// apart by then; the rest is for two busy cores.
const TOLD_WITHIN: Duration = Duration::from_millis(2500);

/// All in one test: the two labs are compared, and the second would only slow down the first.
#[test]
fn no_event_breaks_a_connection_but_the_death_of_its_node() -> Result<()> {
    let mut ledger = CostTable::default();
    let mut complaints = Vec::new();
    for carrier in [Carrier::Fairlead, Carrier::Nothing] {
        cluster().run(|lab| {
            let stage = EventScenario::set(lab, carrier)?;
            for event in chosen().filter(|event| event.happens_to.contains(&carrier)) {
                let (toll, began) = event.happen(&stage).with_context(|| event.name)?;
                println!("{carrier:?}: {}: {toll}", event.name);
                if let Err(complaint) = judge(event, &stage, &toll, began) {
                    complaints.push(format!("{carrier:?}: {}: {complaint}", event.name));
                }
                ledger.note(event, carrier, &toll);
            }
            ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
            Ok(())
        })?;
    }
    println!("\n{ledger}");
    Ok(())
}

/// A flow's slot changes with the number of slots, and the node that led its old one may stand nowhere in its
/// new one but as a former leader.
#[test]
fn a_join_that_doubles_the_ring_breaks_nothing() -> Result<()> {
    cluster().run(|lab| {
        let stage = EventScenario::set_with(lab, Carrier::Fairlead, DOUBLING)?;
        let event = EVENTS.iter().find(|event| event.name == "node joins").context("no such event")?;
        let (toll, began) = event.happen(&stage)?;
        println!("{toll}");
        judge(event, &stage, &toll, began)
    })
}

/// All events, or those whose names hold the words in `FAIRLEAD_EVENTS`.
fn chosen() -> impl Iterator<Item = &'static ClusterEvent> {
    let words = env::var("FAIRLEAD_EVENTS").unwrap_or_default();
    EVENTS.iter().filter(move |event| event.name.contains(&words))
}

fn judge(
    event: &ClusterEvent,
    stage: &EventScenario<'_>,
    toll: &EventLoadReport,
    began: Instant,
) -> Result<()> {
    let by_pod = toll.connections().filter(|it| it.pod.is_some()).count();
    ensure!(by_pod >= 2000, "only {by_pod} connections were open");
    match stage.carrier {
        Carrier::Fairlead => match event.kills {
            None => ensure!(toll.broken() == 0, "{toll}"),
            Some(node) => only_of(node, stage.lab, toll, began)?,
        },
        // A comparison in which nothing can break compares nothing.
        Carrier::Nothing => ensure!(!event.breaks_without || toll.broken() > 0, "nothing broke: {toll}"),
    }
    Ok(())
}

/// All connections of the node, no others, and each of them told by a RST in time.
fn only_of(node: &str, lab: &Lab, toll: &EventLoadReport, began: Instant) -> Result<()> {
    let (all, broken) = toll.of_node(lab, node);
    let delays = toll.delays(began);
    let (first, last) = (delays.first().context("nothing broke")?, delays.last().context("nothing broke")?);
    let median = delays[delays.len() / 2];
    println!(
        "  told by RST: the first after {first:.3?}, half after {median:.3?}, the last after {last:.3?}"
    );
    ensure!(all > 100 && all == broken, "{broken} of {all} connections of {node} broke");
    ensure!(toll.broken() == broken, "{} connections of others broke", toll.broken() - broken);
    ensure!(toll.causes() == BTreeMap::from([(FailureCause::Reset, broken)]), "{:?}", toll.causes());
    ensure!(*last < TOLD_WITHIN, "the last client was told after {last:?}");
    Ok(())
}
