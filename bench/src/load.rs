//! Load: throughput, the maximum of HTTP requests, ramps of rates and clients, and what a request costs.

pub mod iperf;
pub mod processors;
pub mod wrk;

use std::time::Duration;

use anyhow::{Context, Result};
use fairlead_tests::contenders::{Contender, THROUGHPUT_PORT};
use fairlead_tests::lab::topology::HTTP_PORT;
use indicatif::ProgressBar;

use self::processors::BusyTime;
use crate::client::http::HttpLoad;
use crate::paths::{self, BARE, BEHIND, LabPath, LabPaths, ON_ENTRY};
use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable, RoundRatio};

/// Connections of the maximum and of ramps.
const CONNECTIONS: usize = 50;
/// TCP streams that measure throughput.
const STREAMS: u32 = 10;
/// Steps of the ramp of clients, and of requests per second.
const CLIENTS: [usize; 4] = [10, 50, 100, 200];
const RATES: [u32; 4] = [1000, 2000, 5000, 10_000];
/// The figure of the maximum.
const MAXIMUM: &str = "HTTP requests/s";
/// The least part of the plain path's requests on the pod's own node. The work is the same but for one pass
/// of the XDP program, some 100 ns of a request's 50 µs for each of its packets; medians of ten rounds of two
/// seconds repeat within 3 % on an idle machine.
const NOT_BELOW: f64 = 0.97;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct LoadSettings {
    /// Rounds, in each of which every path is measured once.
    pub rounds: usize,
    /// How long each load lasts, in whole seconds.
    pub seconds: u32,
    /// Numbers of clients.
    pub clients: &'static [usize],
    /// Rates, in requests per second.
    pub rates: &'static [u32],
}

impl LoadSettings {
    /// The settings of a full run.
    pub const FULL: Self = Self { rounds: 5, seconds: 1, clients: &CLIENTS, rates: &RATES };
    /// The settings of a short run.
    pub const QUICK: Self = Self { rounds: 1, seconds: 1, clients: &[CONNECTIONS], rates: &[5000] };

    /// The number of steps of [`measure`].
    #[must_use]
    pub const fn steps(&self) -> usize {
        paths::STEPS + self.rounds * (1 + self.clients.len() + self.rates.len())
    }
}

/// The tables of all paths.
struct Tables {
    load: ResultTable,
    clients: ResultTable,
    rates: ResultTable,
}

/// Measures all paths in turns.
///
/// # Errors
/// When a set-up does not start, or a path does not serve.
pub fn measure(settings: LoadSettings, progress: &ProgressBar) -> Result<Vec<ResultTable>> {
    let labs = LabPaths::start(progress)?;
    let mut tables = Tables { load: load_table(), clients: clients_table(), rates: rates_table() };
    for _ in 0..settings.rounds {
        tables.measure(&labs, settings, progress)?;
    }
    Ok(vec![tables.load, tables.clients, tables.rates])
}

impl Tables {
    /// Measures one round: a load on all paths, then the next one, so that what is compared is measured at
    /// nearly the same time.
    fn measure(&mut self, labs: &LabPaths, settings: LoadSettings, progress: &ProgressBar) -> Result<()> {
        let each = |load: &mut dyn FnMut(&LabPath) -> Result<()>| {
            progress.inc(1);
            labs.paths.iter().try_for_each(|path| load(path).with_context(|| path.labels.join(", ")))
        };
        each(&mut |path| self.throughput(labs, path, settings))?;
        for &clients in settings.clients {
            each(&mut |path| self.maximum(labs, path, clients, settings))?;
        }
        for &rate in settings.rates {
            each(&mut |path| self.at_rate(labs, path, rate, settings))?;
        }
        Ok(())
    }

    fn throughput(&mut self, labs: &LabPaths, path: &LabPath, settings: LoadSettings) -> Result<()> {
        if path.has_one_pod {
            let target = path.target(THROUGHPUT_PORT);
            let bits = iperf::run(labs.client(path)?, labs.pod(path)?, target, STREAMS, settings.seconds)?;
            self.load.row_mut(&path.labels).push("throughput", FigureUnit::BitsPerSecond, bits);
        }
        Ok(())
    }

    fn maximum(
        &mut self,
        labs: &LabPaths,
        path: &LabPath,
        clients: usize,
        settings: LoadSettings,
    ) -> Result<()> {
        let rate = wrk::run(labs.client(path)?, path.target(HTTP_PORT), clients, settings.seconds)?;
        let row = self.clients.row_mut(&[path.labels[0], path.labels[1], &clients.to_string()]);
        row.push(MAXIMUM, FigureUnit::PerSecond, rate);
        if clients == CONNECTIONS {
            self.load.row_mut(&path.labels).push(MAXIMUM, FigureUnit::PerSecond, rate);
        }
        Ok(())
    }

    fn at_rate(&mut self, labs: &LabPaths, path: &LabPath, rate: u32, settings: LoadSettings) -> Result<()> {
        // What runs without load: probes of nodes, BFD, this program.
        let idle = BusyTime::during(Duration::from_millis(200))?;
        let duration = Duration::from_secs(settings.seconds.into());
        let load = HttpLoad { target: path.target(HTTP_PORT), rate, connections: CONNECTIONS, duration };
        let before = BusyTime::now()?;
        let report = labs.client(path)?.run(|| load.run())?;
        let cost = before.elapsed()?.less(idle).per(report.latencies.count());
        let row = self.rates.row_mut(&[path.labels[0], path.labels[1], &rate.to_string()]);
        row.push("answered/s", FigureUnit::PerSecond, report.rate());
        row.push("p50", FigureUnit::Seconds, report.latencies.percentile(50.0));
        row.push("p99", FigureUnit::Seconds, report.latencies.percentile(99.0));
        row.push("failed", FigureUnit::Count, report.failed as f64);
        row.push("CPU a request", FigureUnit::Seconds, cost);
        Ok(())
    }
}

fn load_table() -> ResultTable {
    let ratio = |name: &str, pods: &str| RoundRatio {
        name: name.to_owned(),
        figure: MAXIMUM.to_owned(),
        of: vec![Contender::FairleadL2.name().to_owned(), pods.to_owned()],
        to: vec![Contender::MetallbL2.name().to_owned(), pods.to_owned()],
    };
    let ratios = vec![ratio("requests/s, one node", ON_ENTRY), ratio("requests/s, remote owner", BEHIND)];
    let goal = |name: &str, place: usize, limit: f64| {
        ratios.get(place).cloned().map(|ratio| Goal {
            name: name.to_owned(),
            subject: GoalSubject::Ratio(ratio),
            bound: Bound::AtLeast(limit),
        })
    };
    let goals = [
        goal("on one node, as many requests as by kube-proxy alone, within 3 %", 0, NOT_BELOW),
        goal("with a remote owner, more requests than through kube-proxy", 1, 1.0),
    ];
    let goals = goals.into_iter().flatten().collect();
    ResultTable {
        goals,
        ratios,
        ..table(
            "load",
            "Throughput and the maximum of HTTP requests",
            &paths::LABELS,
            format!(
                "iperf3 with {STREAMS} streams, only where a single pod serves; wrk with {CONNECTIONS} \
                 connections and one thread. All hosts share the processors of one machine, so a path's \
                 maximum is what its packets cost on all hosts together. {BARE:?} has no load balancer."
            ),
        )
    }
}

fn clients_table() -> ResultTable {
    ResultTable {
        plot: Some(Plot::Lines),
        ..table(
            "load-clients",
            "HTTP requests by number of clients",
            &[paths::LABELS[0], paths::LABELS[1], "clients"],
            "wrk, one thread, as fast as answers arrive.".to_owned(),
        )
    }
}

fn rates_table() -> ResultTable {
    ResultTable {
        plot: Some(Plot::Lines),
        ..table(
            "load-rates",
            "HTTP requests at fixed rates",
            &[paths::LABELS[0], paths::LABELS[1], "requests/s"],
            format!(
                "{CONNECTIONS} connections, open loop. CPU a request is the time that all processors of the \
                 machine were busy, less what they were busy without load, by the number of answers: client, \
                 switches, router, nodes and pod together."
            ),
        )
    }
}

fn table(id: &str, title: &str, labels: &[&str], method: String) -> ResultTable {
    ResultTable {
        id: id.to_owned(),
        title: title.to_owned(),
        method,
        labels: labels.iter().map(ToString::to_string).collect(),
        plot: Some(Plot::Bars),
        ..ResultTable::default()
    }
}
