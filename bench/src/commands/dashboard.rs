//! `cargo xtask dashboard`: the dashboard as a picture, from a lab in which the cable of a node is cut.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::Args;
use fairlead_bench::dashboard::{TimeSpan, fill, svg};
use fairlead_tests::kubernetes::topology;
use fairlead_tests::monitoring::MonitoredLab;

/// The node whose cable is cut.
const VICTIM: &str = "n3";

/// Runs a cluster with a real Prometheus in network namespaces, cuts the cable of a node, plugs it in again,
/// and draws the panels of the dashboard.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The picture.
    output: PathBuf,
    /// Seconds before the cut, until the repair, and after it.
    #[arg(long, value_delimiter = ',', num_args = 3, default_values_t = [60, 45, 75])]
    seconds: Vec<u64>,
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let mut seconds = arguments.seconds.iter().map(|seconds| Duration::from_secs(*seconds));
    let mut rest = || sleep(seconds.next().unwrap_or_default());
    topology().run(|lab| {
        let monitored = MonitoredLab::start(lab)?;
        let start = now()?;
        rest();
        let cut = now()?;
        monitored.cut(VICTIM)?;
        rest();
        let repaired = now()?;
        monitored.restore(VICTIM)?;
        rest();
        let events = vec![(cut, "cable cut"), (repaired, "plugged in")];
        let span = TimeSpan { start, end: now()?, events };
        fs::write(&arguments.output, svg(&fill(&monitored.prometheus, &span)?, &span)?)?;
        Ok(())
    })
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64())
}
