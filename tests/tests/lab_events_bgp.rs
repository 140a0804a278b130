//! The promises with a router that learns by BGP and watches by BFD, as it is in production: FRR, two thousand
//! connections, and nobody who sets a route by hand.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::events::{
    ALL_NODES, Carrier, EventLoad, EventLoadReport, INITIAL_NODES, JOINING_NODE, RoutedScenario, cluster,
};

const INTERVAL: Duration = Duration::from_millis(50);
/// Two exchanges of every connection.
const A_WHILE: Duration = Duration::from_millis(1200);
/// A dead node's clients are told within 1.3 s; the rest is for two busy cores.
const TOLD_WITHIN: Duration = Duration::from_millis(2500);
/// The agent says good-bye for two seconds of it.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const WITHOUT_N2: &[&str] = &["n1", "n3", "n4"];

/// Something that happens, and over whom the router spreads when it has settled.
struct Step {
    what: &'static str,
    make: fn(&RoutedScenario<'_>) -> Result<()>,
    hops: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step {
        what: "router shuts its sessions with n2",
        make: |scene| scene.set_open("n2", false),
        hops: WITHOUT_N2,
    },
    Step { what: "router opens them again", make: |scene| scene.set_open("n2", true), hops: &INITIAL_NODES },
    Step { what: "node joins", make: |scene| scene.stage.join(JOINING_NODE), hops: &ALL_NODES },
    Step {
        what: "node is drained",
        make: |scene| scene.stage.drain("n1", false),
        hops: &["n2", "n3", "n4", "n5"],
    },
    Step { what: "node is undrained", make: |scene| scene.stage.drain("n1", true), hops: &ALL_NODES },
    Step {
        what: "agent is killed",
        make: |scene| scene.stage.lab.node("n2")?.kill_agent(),
        hops: &["n1", "n3", "n4", "n5"],
    },
    Step { what: "agent starts again", make: |scene| scene.stage.start_agents(&["n2"]), hops: &ALL_NODES },
];

#[test]
fn nothing_that_a_router_learns_breaks_a_connection_but_the_death_of_its_node() -> Result<()> {
    cluster().run(|lab| {
        let scene = RoutedScenario::set(lab, Carrier::Fairlead, INTERVAL)?;
        let crowd = EventLoad::gather(lab)?;
        for step in STEPS {
            (step.make)(&scene).context(step.what)?;
            scene.settle(step.hops).context(step.what)?;
            sleep(A_WHILE);
            println!("{}: {} connections broken", step.what, crowd.broken());
            ensure!(crowd.broken() == 0, "{}: {}", step.what, crowd.disperse()?);
        }
        scene.wait_watched(&ALL_NODES)?;
        scene.cut("n3")?;
        scene.settle(&["n1", "n2", "n4", "n5"])?;
        sleep(TOLD_WITHIN);
        let toll = crowd.disperse()?;
        println!("node dies: {toll}");
        ensure_all_there(&toll)?;
        let (all, broken) = toll.of_node(lab, "n3");
        ensure!(all > 100 && all == broken, "{broken} of {all} connections of n3 broke");
        ensure!(toll.broken() == broken, "{} connections of others broke", toll.broken() - broken);
        Ok(())
    })
}

#[test]
fn an_agent_that_ends_and_comes_back_costs_no_packet() -> Result<()> {
    cluster().run(|lab| {
        let scene = RoutedScenario::set(lab, Carrier::Fairlead, INTERVAL)?;
        let crowd = EventLoad::gather(lab)?;
        let node = lab.node("n2")?;
        node.stop_agent(ENDS_WITHIN)?;
        scene.settle(WITHOUT_N2)?;
        sleep(A_WHILE);
        scene.stage.start_agents(&["n2"])?;
        scene.settle(&INITIAL_NODES)?;
        sleep(A_WHILE);
        let toll = crowd.disperse()?;
        println!("agent ended and came back: {toll}");
        ensure_all_there(&toll)?;
        ensure!(toll.broken() == 0 && toll.udp.lost() == 0 && toll.udp.moved() == 0, "{toll}");
        Ok(())
    })
}

/// A load of which part never began shows nothing.
fn ensure_all_there(toll: &EventLoadReport) -> Result<()> {
    let by_pod = toll.connections().filter(|it| it.pod.is_some()).count();
    ensure!(by_pod >= 2000, "only {by_pod} connections were open");
    Ok(())
}
