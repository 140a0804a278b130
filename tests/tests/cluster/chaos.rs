//! A chaos test: two controllers and three agents against an API server that is paused, cut off, restarted,
//! slow and flaky, each once.

use std::time::Duration;

use anyhow::Result;
use fairlead_tests::chaos::Chaos;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leader_writes_and_the_cluster_converges_after_server_faults() -> Result<()> {
    let mut chaos = Chaos::start(11).await?;
    chaos.inject_faults(None).await?;
    chaos.converge(Duration::from_secs(10)).await?;
    let (writes, changes) = chaos.check()?;
    println!("{writes} writes of leaders, {changes} leaders");
    assert!(writes > 20 && changes >= 3, "{writes} writes of leaders, {changes} leaders");
    Ok(())
}
