//! The cost of a scrape of ten thousand Services with two addresses each: `cargo xtask bench scrape`.
//!
//! The time is what curl measures, from the connection to the last octet. The limit is 200 ms: Prometheus
//! scrapes every 15 s or less often, so an agent then spends no more than about one hundredth of a processor
//! on it.

use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::lab::{LabAgentOptions, Topology};
use fairlead_tests::scrape::{METRICS, OPENMETRICS, Scrape, write_services};

const SERVICES: u32 = 10_000;
const TRIES: usize = 21;
const LIMIT: Duration = Duration::from_millis(200);

/// Runs the measurement.
pub(crate) fn run() -> Result<()> {
    Topology::empty().node('a', 1).run(|lab| {
        write_services(lab, SERVICES)?;
        let node = lab.node("n1")?;
        let arguments = ["--metrics-address", METRICS].map(str::to_owned).into();
        let ready_within = Duration::from_secs(60);
        node.start_agent(&LabAgentOptions { arguments, ready_within, ..LabAgentOptions::default() })?;
        for (format, accept) in [("text", "text/plain"), ("OpenMetrics", OPENMETRICS)] {
            let scrapes = (0..TRIES).map(|_| Scrape::of(&node, accept)).collect::<Result<Vec<_>>>()?;
            let mut times: Vec<_> = scrapes.iter().map(|scrape| scrape.took).collect();
            times.sort_unstable();
            let (least, median, most) = (times[0], times[TRIES / 2], times[TRIES - 1]);
            let text = &scrapes[0].text;
            println!(
                "{SERVICES} Services, {format}: {least:.0?}, {median:.0?}, {most:.0?} (min, median, max), {} lines, {} MB",
                text.lines().count(),
                text.len() / 1_000_000
            );
            ensure!(median <= LIMIT, "the median exceeds {LIMIT:?}");
        }
        Ok(())
    })
}
