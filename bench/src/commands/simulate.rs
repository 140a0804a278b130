//! `cargo xtask bench simulate`: broken connections of a changing cluster, in Fairlead and other schemes.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use fairlead_bench::simulation::engine::{self, EntryPoint, Setup};
use fairlead_bench::simulation::plot;
use fairlead_bench::simulation::report::SimulationReport;
use fairlead_bench::simulation::scheme::{self, Memory};
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
    /// Nodes at first.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(4..=1000))]
    nodes: u16,
    /// Seed of the random numbers; the same seed gives the same figures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
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
    /// Simulate only events with this text in their names.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Also draw the broken connections to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Also write the figures to this file, as JSON.
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

impl Arguments {
    /// Sets of eight for each flow that a node has when they are shared evenly. It is much, as a node has the
    /// flows that it delegates beside its own, and all of a cluster's open within seconds.
    fn sets(&self) -> usize {
        let per_node = self.flows as usize / usize::from(self.nodes);
        self.log2_sets.map_or_else(|| (8 * per_node).next_power_of_two().max(1 << 14), |bits| 1 << bits)
    }

    fn subjects(&self) -> Vec<Subject> {
        Subject::ALL.into_iter().filter(|subject| subject.name().contains(&self.only)).collect()
    }

    const fn ingress(&self) -> EntryPoint {
        if self.anywhere { EntryPoint::Anywhere } else { EntryPoint::Router }
    }

    fn setup(&self, subject: Subject) -> Setup {
        Setup {
            subject,
            nodes: self.nodes,
            flows: self.flows,
            seed: self.seed,
            timing: Timing { delay: self.delay, detection: self.detection },
            ingress: self.ingress(),
        }
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
    let report = simulate(&arguments)?;
    println!("{}\n\n{}\n\n{}\n", report.broken(), report.died(), report.asked());
    println!(
        "{} flows, {} nodes, seed {}; object changes take up to {} ms, different for each node. Above: connections \
         that a node\ngot which was not their owner while the owner lived; those whose owner died; and how many nodes \
         Fairlead's packets were\nasked of (0: the director's own flow), {} at most. `--help` names what can be changed.",
        report.flows,
        report.nodes,
        report.seed,
        report.delay * 50,
        report.most_asked(),
    );
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    if let Some(path) = &arguments.plot {
        fs::write(path, plot::svg(&report)?).with_context(|| format!("write {}", path.display()))?;
    }
    let excesses = report.excesses();
    for (event, broken, bound) in &excesses {
        eprintln!("{event}: Fairlead broke {broken} connections, and may break {bound}");
    }
    Ok(if excesses.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn simulate(arguments: &Arguments) -> Result<SimulationReport> {
    let (sets, memory) = (arguments.sets(), arguments.former.memory());
    let subjects = arguments.subjects();
    ensure!(!subjects.is_empty(), "no event of that name");
    let packets = |subject: &Subject| {
        FlowSchedule::packets(arguments.flows, &Trace::new(*subject, arguments.nodes, arguments.seed))
    };
    let progress = Progress::new(subjects.iter().map(packets).sum())?;
    let schemes = || {
        let mut all = scheme::all(sets, memory, arguments.ask_kernels);
        all.drain(..if arguments.alone { all.len() - 1 } else { 0 });
        all
    };
    let run = |subject: Subject| {
        progress.bar.set_message(subject.name());
        engine::run(&arguments.setup(subject), schemes(), |packets| progress.advance(packets))
    };
    let outcomes = subjects.into_iter().map(run).collect();
    progress.bar.finish_and_clear();
    Ok(SimulationReport {
        flows: arguments.flows,
        nodes: arguments.nodes,
        seed: arguments.seed,
        delay: arguments.delay,
        detection: arguments.detection,
        sets,
        ingress: arguments.ingress(),
        outcomes,
    })
}
