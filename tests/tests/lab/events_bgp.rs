//! Tests of the product's promises with a router that uses BGP and BFD, as in production: FRR, two thousand
//! connections, and no routes set by hand.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::events::{
    ALL_NODES, Carrier, EventLoad, EventLoadReport, INITIAL_NODES, JOINING_NODE, RoutedScenario, cluster,
};

const INTERVAL: Duration = Duration::from_millis(50);
/// Two exchanges of every connection.
const A_WHILE: Duration = Duration::from_millis(1200);
/// A dead node's clients are reset within 1.3 s; the rest is for two busy cores.
const RESET_WITHIN: Duration = Duration::from_millis(2500);
/// The agent's shutdown takes two seconds of it.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const WITHOUT_N2: &[&str] = &["n1", "n3", "n4"];

/// An event, and the router's next hops afterwards.
struct Step {
    what: &'static str,
    make: fn(&RoutedScenario<'_>) -> Result<()>,
    hops: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step {
        what: "router shuts its sessions with n2",
        make: |routed| routed.set_enabled("n2", false),
        hops: WITHOUT_N2,
    },
    Step {
        what: "router enables them again",
        make: |routed| routed.set_enabled("n2", true),
        hops: &INITIAL_NODES,
    },
    Step { what: "node joins", make: |routed| routed.scenario.join(JOINING_NODE), hops: &ALL_NODES },
    Step {
        what: "node is drained",
        make: |routed| routed.scenario.drain("n1", false),
        hops: &["n2", "n3", "n4", "n5"],
    },
    Step { what: "node is undrained", make: |routed| routed.scenario.drain("n1", true), hops: &ALL_NODES },
    Step {
        what: "agent is killed",
        make: |routed| routed.scenario.lab.node("n2")?.kill_agent(),
        hops: &["n1", "n3", "n4", "n5"],
    },
    Step {
        what: "agent starts again",
        make: |routed| routed.scenario.start_agents(&["n2"]),
        hops: &ALL_NODES,
    },
];

#[test]
fn no_route_change_breaks_a_connection_except_the_death_of_its_node() -> Result<()> {
    cluster().run(|lab| {
        let routed = RoutedScenario::start(lab, Carrier::Fairlead, INTERVAL)?;
        let load = EventLoad::start(lab)?;
        for step in STEPS {
            (step.make)(&routed).context(step.what)?;
            routed.wait_routed(step.hops).context(step.what)?;
            sleep(A_WHILE);
            println!("{}: {} connections broken", step.what, load.broken());
            ensure!(load.broken() == 0, "{}: {}", step.what, load.finish()?);
        }
        routed.wait_bfd_up(&ALL_NODES)?;
        routed.cut("n3")?;
        routed.wait_routed(&["n1", "n2", "n4", "n5"])?;
        sleep(RESET_WITHIN);
        let report = load.finish()?;
        println!("node dies: {report}");
        ensure_all_there(&report)?;
        let (all, broken) = report.of_node(lab, "n3");
        ensure!(all > 100 && all == broken, "{broken} of {all} connections of n3 broke");
        ensure!(report.broken() == broken, "{} connections of other nodes broke", report.broken() - broken);
        Ok(())
    })
}

/// Without a keeper, an agent that stops asks the router to prefer other nodes.
#[test]
fn a_restarted_agent_loses_no_packet() -> Result<()> {
    cluster().run(|lab| {
        let routed = RoutedScenario::start_without_keeper(lab, Carrier::Fairlead, INTERVAL)?;
        let load = EventLoad::start(lab)?;
        let node = lab.node("n2")?;
        node.stop_agent(ENDS_WITHIN)?;
        routed.wait_routed(WITHOUT_N2)?;
        sleep(A_WHILE);
        routed.scenario.start_agents(&["n2"])?;
        routed.wait_routed(&INITIAL_NODES)?;
        sleep(A_WHILE);
        let report = load.finish()?;
        println!("agent restarted: {report}");
        ensure_all_there(&report)?;
        ensure!(report.broken() == 0 && report.udp.lost() == 0 && report.udp.moved() == 0, "{report}");
        Ok(())
    })
}

/// Checks that the whole load ran: a partial load proves nothing.
fn ensure_all_there(report: &EventLoadReport) -> Result<()> {
    let by_pod = report.connections().filter(|it| it.pod.is_some()).count();
    ensure!(by_pod >= 2000, "only {by_pod} connections were open");
    Ok(())
}
