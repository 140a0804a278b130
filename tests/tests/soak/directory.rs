//! A soak test of damage to the directory of agents: ten minutes, or `FAIRLEAD_SOAK_SECONDS`.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use fairlead_tests::directory_soak;

#[test]
fn ten_minutes_of_damage_to_the_directory_stop_no_agent() -> Result<()> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = number("FAIRLEAD_SEED").unwrap_or(now);
    println!("seed {seed}");
    let report =
        directory_soak::run(seed, Duration::from_secs(number("FAIRLEAD_SOAK_SECONDS").unwrap_or(600)))?;
    println!("{report}");
    Ok(())
}
