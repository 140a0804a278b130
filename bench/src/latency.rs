//! Latency as clients see it: HTTP at a fixed rate, connects, and round trips.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::contenders::Contender;
use fairlead_tests::lab::topology::{ECHO_PORT, HTTP_PORT};
use indicatif::ProgressBar;

use crate::client::Latencies;
use crate::client::http::HttpLoad;
use crate::client::round_trip::{connects, round_trips};
use crate::paths::{self, BARE, BEHIND, LabPath, LabPaths, ON_ENTRY};
use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable};

/// Requests per second, and the connections that they are spread over.
const RATE: u32 = 1000;
const CONNECTIONS: usize = 50;
/// Connections on which round trips are measured in turns.
const STREAMS: usize = 8;
/// Slices of the measurement of connects and round trips in a round.
const SLICES: usize = 5;
/// The promise for the median of round trips: what one more hop through the XDP program adds.
const ADDED_AT_MOST: f64 = 10e-6;
/// The figure that has the promise.
const ADDED: &str = "p50 over bare";

/// Percentiles, and the names of their columns.
const PERCENTILES: [(f64, &str); 5] =
    [(50.0, "p50"), (75.0, "p75"), (90.0, "p90"), (99.0, "p99"), (99.9, "p99.9")];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct LatencySettings {
    /// Rounds, in each of which every path is measured once.
    pub rounds: usize,
    /// How long requests are sent.
    pub duration: Duration,
    /// Connections that are opened, and four times as many round trips.
    pub connects: usize,
}

impl LatencySettings {
    /// The settings of a full run.
    pub const FULL: Self = Self { rounds: 10, duration: Duration::from_secs(2), connects: 500 };
    /// The settings of a short run.
    pub const QUICK: Self = Self { rounds: 2, duration: Duration::from_millis(500), connects: 100 };

    /// The number of steps of [`measure`].
    #[must_use]
    pub const fn steps(&self) -> usize {
        paths::STEPS + self.rounds + 1
    }
}

/// Measures all paths in turns. The first round warms up, and is not recorded.
///
/// # Errors
/// When a set-up does not start, or a path does not serve.
pub fn measure(settings: LatencySettings, progress: &ProgressBar) -> Result<Vec<ResultTable>> {
    let labs = LabPaths::start(progress)?;
    let mut tables = [http_table(), connect_table(), round_trip_table()];
    let [http, connect, trips] = &mut tables;
    for round in 0..=settings.rounds {
        let sinks =
            [(&mut *http, Kind::Http), (&mut *connect, Kind::Connect), (&mut *trips, Kind::RoundTrip)];
        for (table, kind) in sinks {
            for (path, latencies) in measure_paths(&labs, kind, settings)? {
                if round > 0 {
                    record(table, path, &latencies);
                }
            }
        }
        progress.inc(1);
    }
    add_over_bare(trips);
    Ok(tables.into())
}

/// What is measured of a path.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Http,
    Connect,
    RoundTrip,
}

/// Measures one kind on all paths. Connects and round trips are measured in slices, a slice of every path
/// after the other, so that what disturbs the machine for a moment disturbs all of them.
fn measure_paths(
    labs: &LabPaths,
    kind: Kind,
    settings: LatencySettings,
) -> Result<Vec<(&LabPath, Latencies)>> {
    let new = |path| Ok((path, Latencies::new()?));
    let mut measured = labs.paths.iter().map(new).collect::<Result<Vec<_>>>()?;
    let slices = if matches!(kind, Kind::Http) { 1 } else { SLICES };
    for _ in 0..slices {
        for (path, latencies) in &mut measured {
            let slice = labs.client(path)?.run(|| measure_slice(path, kind, settings));
            latencies.add(&slice.with_context(|| path.labels.join(", "))?)?;
        }
    }
    Ok(measured)
}

fn measure_slice(path: &LabPath, kind: Kind, settings: LatencySettings) -> Result<Latencies> {
    let target = path.target(HTTP_PORT);
    let count = settings.connects / SLICES;
    match kind {
        Kind::Http => {
            let duration = settings.duration;
            let load = HttpLoad { target, rate: RATE, connections: CONNECTIONS, duration };
            let report = load.run()?;
            ensure!(report.failed == 0, "{} requests failed", report.failed);
            Ok(report.latencies)
        }
        Kind::Connect => connects(target, count),
        Kind::RoundTrip => round_trips(path.target(ECHO_PORT), STREAMS, 4 * count),
    }
}

fn record(table: &mut ResultTable, path: &LabPath, latencies: &Latencies) {
    let row = table.row_mut(&path.labels);
    for (percentage, name) in PERCENTILES {
        row.push(name, FigureUnit::Seconds, latencies.percentile(percentage));
    }
}

/// Adds to each row the difference of its median to that of the bare path with the same hops, round by
/// round; paths to pods on all nodes have as many hops as to a pod on the entry node.
fn add_over_bare(table: &mut ResultTable) {
    let samples = |table: &ResultTable, labels: &[String]| {
        let figure = table.row(labels)?.figure("p50")?;
        Some(figure.samples.clone())
    };
    let rows: Vec<Vec<String>> = table.rows.iter().map(|row| row.labels.clone()).collect();
    for labels in rows {
        let pods = if labels.last().is_some_and(|it| it == BEHIND) { BEHIND } else { ON_ENTRY };
        let bare = samples(table, &[BARE.to_owned(), pods.to_owned()]);
        let (Some(own), Some(bare)) = (samples(table, &labels), bare) else { continue };
        let words: Vec<&str> = labels.iter().map(String::as_str).collect();
        let row = table.row_mut(&words);
        own.iter().zip(&bare).for_each(|(own, bare)| row.push(ADDED, FigureUnit::Seconds, own - bare));
    }
}

fn http_table() -> ResultTable {
    table(
        "latency-http",
        "Latency of HTTP requests",
        format!(
            "{RATE} requests per second over {CONNECTIONS} connections, open loop: each counts from its \
             intended start (coordinated omission corrected). The bare paths have what the client and the \
             server cost."
        ),
    )
}

fn connect_table() -> ResultTable {
    table("latency-connect", "Time to open a TCP connection", "One connection at a time.".to_owned())
}

fn round_trip_table() -> ResultTable {
    let goal = |pods: &str, name: &str| Goal {
        name: name.to_owned(),
        subject: GoalSubject::Figure {
            row: vec![Contender::FairleadL2.name().to_owned(), pods.to_owned()],
            figure: ADDED.to_owned(),
        },
        bound: Bound::AtMost(ADDED_AT_MOST),
    };
    ResultTable {
        goals: vec![
            goal(ON_ENTRY, "XDP and kube-proxy on the pod's own node add at most 10 µs to a round trip"),
            goal(BEHIND, "a hop through XDP adds at most 10 µs more than one through the kernel"),
        ],
        ..table(
            "latency-round-trip",
            "TCP round trip on an open connection",
            format!(
                "32 bytes to an echo server and back, one at a time, on {STREAMS} connections in turns. \
                 \"over bare\" compares with the bare path of as many hops, in the same round: without \
                 load balancer and kube-proxy's rules, straight to the pod's address."
            ),
        )
    }
}

fn table(id: &str, title: &str, method: String) -> ResultTable {
    ResultTable {
        id: id.to_owned(),
        title: title.to_owned(),
        method,
        labels: paths::LABELS.map(str::to_owned).into(),
        plot: Some(Plot::Bars),
        ..ResultTable::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{ADDED, add_over_bare, round_trip_table};
    use crate::paths::{BARE, BEHIND, EVERYWHERE, ON_ENTRY};
    use crate::results::FigureUnit;

    #[test]
    fn a_path_is_compared_with_the_bare_one_of_as_many_hops() {
        let mut table = round_trip_table();
        for (set_up, pods, p50) in
            [(BARE, ON_ENTRY, 10.0), (BARE, BEHIND, 15.0), ("a", BEHIND, 16.0), ("b", EVERYWHERE, 12.0)]
        {
            table.row_mut(&[set_up, pods]).push("p50", FigureUnit::Seconds, p50);
        }
        add_over_bare(&mut table);
        let added = |set_up: &str, pods: &str| {
            let row = table.row(&[set_up.to_owned(), pods.to_owned()])?;
            Some(row.figure(ADDED)?.samples.clone())
        };
        assert_eq!(added("a", BEHIND), Some(vec![1.0]));
        assert_eq!(added("b", EVERYWHERE), Some(vec![2.0]));
        assert_eq!(added(BARE, ON_ENTRY), Some(vec![0.0]));
    }
}
