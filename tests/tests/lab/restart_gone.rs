//! Tests of an agent that never comes back: after a bound, its node withdraws from all traffic.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::lab::ExternalPolicy;
use fairlead_tests::layer2::Detection;
use fairlead_tests::layer2::segment::{self, mac_of, observe, options, preferring, vips};
use fairlead_tests::layer2::takeover::wait_announcer;
use fairlead_tests::restart::death::{has_routes_via, wait_withdrawn};
use fairlead_tests::restart::{Connections, Keeping, RestartCluster, SessionSettings, VICTIM, topology};

/// Serializes the tests of this file, which measure times.
static ALONE: Mutex<()> = Mutex::new(());

/// The bound, in seconds.
const BOUND: u32 = 3;
/// Part of the bound in which nothing may happen.
const EARLY: Duration = Duration::from_millis(2300);
/// Beyond the bound: detection, the routers' tables, and a busy machine.
const LATE: Duration = Duration::from_millis(2500);
const INTERVAL: Duration = Duration::from_millis(50);

#[test]
fn routes_of_an_agent_that_stays_away_are_withdrawn_after_the_bound() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    topology(2).run(|lab| {
        let cluster =
            RestartCluster::start(lab, SessionSettings::every(INTERVAL), &Keeping::For(BOUND).options())?;
        let connections = Connections::open(lab)?;
        let (mark, node) = (cluster.routes.mark()?, cluster.victim()?);
        let killed = Instant::now();
        node.kill_agent()?;
        sleep(EARLY);
        ensure!(has_routes_via(&cluster, VICTIM)?, "withdrawn before the bound");
        let took = wait_withdrawn(&cluster, VICTIM, mark, killed)?;
        println!("BGP: withdrawn {took:.2?} after the agent's death, bound {BOUND} s");
        ensure!(took <= Duration::from_secs(BOUND.into()) + LATE, "withdrawn only after {took:?}");
        for report in connections.finish()? {
            println!("{report}");
            ensure!(report.failed() == 0, "{report}");
        }
        Ok(())
    })
}

/// The program answers for the VIPs as long as the agent may come back, and then another node does.
#[test]
fn another_node_answers_arp_and_ndp_after_the_bound() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    preferring(segment::topology(3, 1, ExternalPolicy::Local), &["n1"]).run(|lab| {
        let mut options = options(Detection::DEFAULT);
        options.arguments.extend(Keeping::For(BOUND).options().arguments);
        segment::start_agents(lab, &options)?;
        let (addresses, first): (Vec<IpAddr>, _) = (vips(0..1), mac_of(lab, "n1")?);
        wait_announcer(lab, "n1", &addresses)?;
        let observer = observe(lab, &addresses, Duration::from_millis(10))?;
        let killed = Instant::now();
        lab.node("n1")?.kill_agent()?;
        sleep(Duration::from_secs(BOUND.into()) + LATE);
        let log = observer.finish()?;
        for address in addresses {
            let mut answers = log.answers(address).filter(|it| it.at >= killed);
            let others = answers.clone().find(|it| it.frame.mac != first).map(|it| it.at - killed);
            let last = answers.rfind(|it| it.frame.mac == first).map(|it| it.at - killed);
            println!(
                "{address}: the dead agent's node answered until {last:.2?}, another one since {others:.2?}"
            );
            let (Some(since), Some(until)) = (others, last) else { anyhow::bail!("{address}: no takeover") };
            ensure!(until >= EARLY, "{address}: given up before the bound: {until:?}");
            ensure!(since >= EARLY && until <= since + Duration::from_millis(500), "{address}: both answer");
        }
        Ok(())
    })
}
