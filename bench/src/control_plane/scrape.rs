//! The scrape of an agent with ten thousand Services with two addresses each.
//!
//! The time is what curl measures, from the connection to the last octet. The limit is 200 ms: Prometheus
//! scrapes every 15 s or less often, so an agent then spends no more than about one hundredth of a processor
//! on it.

use std::time::Duration;

use anyhow::Result;
use fairlead_tests::lab::{LabAgentOptions, Topology};
use fairlead_tests::scrape::{METRICS, OPENMETRICS, Scrape, write_services};

use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable};

const SERVICES: u32 = 10_000;
const LIMIT: f64 = 0.2;
/// Scrapes of each format in a round: their median is a sample.
const TRIES: usize = 7;

/// Measures so many rounds, the formats in turns.
pub(super) fn measure(rounds: u32) -> Result<ResultTable> {
    let mut table = ResultTable {
        id: "scrape".to_owned(),
        title: format!("A scrape of an agent with {SERVICES} Services of two addresses"),
        method: format!(
            "What curl measures from the connection to the last octet, beside the agent; the median of {TRIES} scrapes."
        ),
        labels: vec!["format".to_owned()],
        plot: Some(Plot::Bars),
        ..ResultTable::default()
    };
    let formats = [("text", "text/plain"), ("OpenMetrics", OPENMETRICS)];
    Topology::empty().node('a', 1).run(|lab| {
        write_services(lab, SERVICES)?;
        let node = lab.node("n1")?;
        let arguments = ["--metrics-address", METRICS].map(str::to_owned).into();
        let ready_within = Duration::from_secs(60);
        node.start_agent(&LabAgentOptions { arguments, ready_within, ..LabAgentOptions::default() })?;
        for _ in 0..rounds {
            for (format, accept) in formats {
                let scrapes = (0..TRIES).map(|_| Scrape::of(&node, accept)).collect::<Result<Vec<_>>>()?;
                let mut times: Vec<_> = scrapes.iter().map(|scrape| scrape.took).collect();
                times.sort_unstable();
                let row = table.row_mut(&[format]);
                row.push("time", FigureUnit::Seconds, times[TRIES / 2].as_secs_f64());
                row.push("size", FigureUnit::Bytes, scrapes[0].text.len() as f64);
            }
        }
        Ok(())
    })?;
    table.goals = formats
        .iter()
        .map(|(format, _)| Goal {
            name: format!("a scrape of {SERVICES} Services, {format}"),
            subject: GoalSubject::Figure { row: vec![(*format).to_owned()], figure: "time".to_owned() },
            bound: Bound::AtMost(LIMIT),
        })
        .collect();
    Ok(table)
}
