//! `cargo xtask bench simulate`: broken connections of a changing cluster, in Fairlead and other schemes.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use fairlead_bench::results::{self, RunStart};
use fairlead_bench::simulation::engine::{self, EntryPoint, Setup};
use fairlead_bench::simulation::plot;
use fairlead_bench::simulation::report::SimulationReport;
use fairlead_bench::simulation::scheme::{Memory, Scheme, SchemeSettings};
use fairlead_bench::simulation::table;
use fairlead_bench::simulation::trace::{Subject, Trace};
use fairlead_bench::simulation::traffic::FlowSchedule;
use fairlead_bench::simulation::world::Timing;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Simulates a cluster whose nodes learn of changes late and one by one, and counts broken connections.
///
/// Fails if Fairlead breaks any connection by a single change (0.01 % where the ring doubles), more than 0.05
/// % by overlapping changes, or more than 0.1 % with reboots among them.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Flows of each run.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=16_000_000))]
    flows: u32,
    /// Nodes at first; several numbers, with commas, are simulated one after the other.
    #[arg(long, value_delimiter = ',', default_value = "12",
          value_parser = clap::value_parser!(u16).range(4..=1000))]
    nodes: Vec<u16>,
    /// Seed of the random numbers of the first round; the same seed gives the same figures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds, each with the next seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// A short run: few flows, three events.
    #[arg(long, conflicts_with_all = ["flows", "only"])]
    quick: bool,
    /// Probe intervals (50 ms) after which an object change has reached every node.
    #[arg(long, default_value_t = 3)]
    delay: u32,
    /// Probe intervals without an answer after which a node counts as dead.
    #[arg(long, default_value_t = 3)]
    detection: u32,
    /// Sets of eight in each node's table of flows, as a power of two; eight for each flow of a node by
    /// default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(4..=24))]
    log2_sets: Option<u32>,
    /// Let every packet enter at a random node instead of the router's next hop.
    #[arg(long)]
    anywhere: bool,
    /// Former leaders that Fairlead's rings remember.
    #[arg(long, value_enum, default_value_t = Former::Agent)]
    former: Former,
    /// Let Fairlead's nodes look up connections in their own kernels.
    #[arg(long)]
    ask_kernels: bool,
    /// Simulate Fairlead alone, without the other schemes.
    #[arg(long)]
    alone: bool,
    /// Simulate only events with this text, or one of several with commas, in their names [default: all but
    /// `scale`, which takes many minutes].
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Also draw the broken connections to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Also write the results to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The nodes that are recorded as former leaders.
#[derive(Clone, Copy, ValueEnum)]
enum Former {
    /// None.
    Nothing,
    /// The leader of a slot in the previous ring.
    Leaders,
    /// All that an agent records: also nodes that took a slot's flows while its leader was dead.
    Agent,
}

impl Former {
    const fn memory(self) -> Memory {
        match self {
            Self::Nothing => Memory::Nothing,
            Self::Leaders => Memory::Leaders,
            Self::Agent => Memory::Agent,
        }
    }
}

/// The largest table of flows of a node, in sets: 16 times the agent's default.
const MOST_SETS: usize = 1 << 21;
/// The flows of a short run.
const QUICK_FLOWS: u32 = 20_000;
/// The events of a short run: one that adds, one that removes, and all.
const QUICK: [Subject; 3] = [Subject::Join, Subject::Drain, Subject::Upheaval];

impl Arguments {
    fn flows(&self) -> u32 {
        if self.quick { QUICK_FLOWS } else { self.flows }
    }

    /// Sets of eight for each flow that a node has when they are shared evenly. It is much, as a node has the
    /// flows that it delegates beside its own, and all of a cluster's open within seconds.
    fn sets(&self, nodes: u16) -> usize {
        let per_node = self.flows() as usize / usize::from(nodes);
        let ample = || (8 * per_node).next_power_of_two().clamp(1 << 14, MOST_SETS);
        self.log2_sets.map_or_else(ample, |bits| 1 << bits)
    }

    fn subjects(&self) -> Vec<Subject> {
        if self.quick {
            return QUICK.into();
        }
        if self.only.is_empty() {
            return Subject::ALL.into_iter().filter(|subject| *subject != Subject::Scale).collect();
        }
        let names: Vec<&str> = self.only.split(',').map(str::trim).collect();
        let is_wanted = |subject: &Subject| names.iter().any(|name| subject.name().contains(name));
        Subject::ALL.into_iter().filter(is_wanted).collect()
    }

    const fn ingress(&self) -> EntryPoint {
        if self.anywhere { EntryPoint::Anywhere } else { EntryPoint::Router }
    }

    fn setup(&self, subject: Subject, nodes: u16, seed: u64) -> Setup {
        Setup {
            subject,
            nodes,
            flows: self.flows(),
            seed,
            timing: Timing { delay: self.delay, detection: self.detection },
            ingress: self.ingress(),
        }
    }

    fn schemes(&self, nodes: u16, seed: u64) -> Vec<Box<dyn Scheme>> {
        let settings = SchemeSettings {
            sets: self.sets(nodes),
            memory: self.former.memory(),
            ask_kernels: self.ask_kernels,
            delay: self.delay,
            seed,
        };
        let mut all = settings.all();
        all.drain(..if self.alone { all.len() - 1 } else { 0 });
        all
    }

    fn rounds(&self) -> impl Iterator<Item = u64> {
        self.seed..self.seed + self.rounds
    }
}

/// Creates a progress bar that appears after a delay.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    fn new(packets: u64) -> Result<Self> {
        let bar = ProgressBar::with_draw_target(Some(packets), ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::with_template("{msg:18} {wide_bar} {percent:>3} %  {eta}")?);
        Ok(Self { bar, begun: Instant::now() })
    }

    fn advance(&self, packets: u64) {
        if self.bar.is_hidden() && self.begun.elapsed() > Duration::from_secs(3) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(packets);
    }
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let start = RunStart::now()?;
    let sizes = simulate(&arguments)?;
    let reports = || sizes.iter().flatten();
    reports().for_each(print);
    if let (Some(path), Some(report)) = (&arguments.plot, reports().next()) {
        fs::write(path, plot::svg(report)?).with_context(|| format!("write {}", path.display()))?;
    }
    for report in reports() {
        for (event, broken, bound) in report.excesses() {
            eprintln!(
                "{event}, {} nodes, seed {}: Fairlead broke {broken} connections, and may break {bound}",
                report.nodes, report.seed
            );
        }
    }
    let tables = sizes.iter().map(|rounds| table::table(rounds)).collect();
    results::finish(tables, arguments.quick, &start, arguments.json.as_deref())
}

fn print(report: &SimulationReport) {
    println!("{}\n\n{}\n\n{}\n\n{}\n", report.broken(), report.died(), report.tracked(), report.asked());
    println!(
        "{} flows, {} nodes, seed {}; object changes take up to {} ms, different for each node. Above: connections \
         that a node\ngot which was not their owner while the owner lived; those whose owner died; entries that are kept \
         for single flows;\nand how many nodes Fairlead's packets were asked of (0: the director's own flow), {} at most. \
         `--help` names what can be changed.\n",
        report.flows,
        report.nodes,
        report.seed,
        report.delay * 50,
        report.most_asked(),
    );
}

/// Returns the reports of each number of nodes, one for each round.
fn simulate(arguments: &Arguments) -> Result<Vec<Vec<SimulationReport>>> {
    let subjects = arguments.subjects();
    ensure!(!subjects.is_empty(), "no event of that name");
    let schemes = if arguments.alone { 1 } else { arguments.schemes(4, 1).len() as u64 };
    let packets = |subject: &Subject, nodes| {
        FlowSchedule::packets(arguments.flows(), &Trace::new(*subject, nodes, arguments.seed)) * schemes
    };
    let of_size = |nodes: &u16| subjects.iter().map(|subject| packets(subject, *nodes)).sum::<u64>();
    let total = arguments.nodes.iter().map(of_size).sum::<u64>() * arguments.rounds;
    let progress = Progress::new(total)?;
    let report = |nodes: u16, seed: u64| {
        let run = |subject: &Subject| {
            progress.bar.set_message(subject.name());
            let setup = arguments.setup(*subject, nodes, seed);
            engine::run(&setup, arguments.schemes(nodes, seed), |packets| progress.advance(packets))
        };
        SimulationReport {
            flows: arguments.flows(),
            nodes,
            seed,
            delay: arguments.delay,
            detection: arguments.detection,
            sets: arguments.sets(nodes),
            ingress: arguments.ingress(),
            outcomes: subjects.iter().map(run).collect(),
        }
    };
    let of_size = |nodes: &u16| arguments.rounds().map(|seed| report(*nodes, seed)).collect();
    let sizes = arguments.nodes.iter().map(of_size).collect();
    progress.bar.finish_and_clear();
    Ok(sizes)
}
