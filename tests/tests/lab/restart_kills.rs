//! Tests of agents that are killed at random moments while everything that they write changes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::agents;
use fairlead_tests::random::SeededRandom;
use fairlead_tests::restart::churn::{self, Change, GUEST};
use fairlead_tests::restart::{Connections, Keeping, RestartCluster, SessionSettings, is_soak, topology};

const SEED: u64 = 0xdead_a6e7;
const INTERVAL: Duration = Duration::from_millis(50);
/// The killed ones, the guest, and one that always has a route: without any, routers drop packets.
const NODES: u8 = 4;
/// The nodes whose agents are killed.
const KILLED: [&str; 2] = ["n1", "n2"];
/// The longest time from a change to the kill, in milliseconds, and from there to the start.
const MOST: [usize; 2] = [400, 600];

/// The maps converge after each kill, and only connections to removed endpoints break.
#[test]
fn agents_killed_at_random_moments_break_nothing_and_converge() -> Result<()> {
    let kills = if is_soak() { 500 } else { 10 };
    topology(NODES).run(|lab| {
        let options = Keeping::On.options();
        let cluster = RestartCluster::start(lab, SessionSettings::every(INTERVAL), &options)?;
        let (connections, begun) = (Connections::open(lab)?, Instant::now());
        let mut random = SeededRandom::new(SEED);
        for round in 0..kills {
            let node = lab.node(KILLED[random.below(KILLED.len())])?;
            let change = Change::draw(&mut random);
            change.make(&cluster, &mut random)?;
            sleep(Duration::from_millis(random.below(MOST[0]) as u64));
            println!("{:.3} s: {change:?}, {} killed", begun.elapsed().as_secs_f64(), node.name());
            node.kill_agent()?;
            // Another one meanwhile, which the agent has never seen.
            Change::draw(&mut random).make(&cluster, &mut random)?;
            sleep(Duration::from_millis(random.below(MOST[1]) as u64));
            node.launch_agent(&options)?;
            agents::prioritize(lab)?;
            let settled = churn::wait_converged(lab, &node);
            settled.with_context(|| format!("round {round}: {change:?}, {} killed", node.name()))?;
        }
        churn::restore(lab)?;
        for name in KILLED {
            let node = lab.node(name)?;
            churn::wait_converged(lab, &node)?;
            let operations = churn::operations_of_restart(&node, &options)?;
            ensure!(operations == 0, "{name}: a fresh plan differs from the maps in {operations} operations");
        }
        for report in connections.finish()? {
            println!("{kills} kills: {report}");
            let elsewhere = report.failed_elsewhere(lab, GUEST);
            let broken = report.connections.iter().filter(|it| it.failure.is_some());
            for it in broken.filter(|_| elsewhere > 0) {
                println!("  {:?} at {:?}: {:?}", it.seen, it.pod, it.failure);
            }
            ensure!(elsewhere == 0, "{elsewhere} connections broke that {GUEST} did not serve");
        }
        Ok(())
    })
}
