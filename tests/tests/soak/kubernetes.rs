//! Soak tests under API server faults: ten minutes, or `FAIRLEAD_SOAK_SECONDS`.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use fairlead_tests::chaos::Chaos;
use fairlead_tests::kubernetes::{KubernetesLab, topology};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|text| text.parse().ok())
}

fn lasts() -> Duration {
    Duration::from_secs(number("FAIRLEAD_SOAK_SECONDS").unwrap_or(600))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leader_writes_for_ten_minutes_of_server_faults() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = number("FAIRLEAD_SEED").unwrap_or(now);
    println!("seed {seed}");
    let mut chaos = Chaos::start(seed).await?;
    chaos.inject_faults(Some(lasts())).await?;
    chaos.converge(Duration::from_secs(10)).await?;
    let (writes, changes) = chaos.check()?;
    println!("{writes} writes of leaders, {changes} leaders");
    Ok(())
}

#[test]
fn no_server_fault_changes_a_route_or_breaks_a_connection_for_ten_minutes() -> Result<()> {
    topology().run(|lab| KubernetesLab::start(lab)?.endure_server_faults(lasts()))
}
