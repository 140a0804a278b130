//! `cargo xtask bench simulate`: which connections break when a cluster changes, in Fairlead and elsewhere.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use fairlead_bench::simulation::engine::{self, Ingress, Setup};
use fairlead_bench::simulation::plot;
use fairlead_bench::simulation::report::Report;
use fairlead_bench::simulation::scheme::{self, Memory};
use fairlead_bench::simulation::trace::{Subject, Trace};
use fairlead_bench::simulation::traffic::Traffic;
use fairlead_bench::simulation::world::Timing;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Simulates a cluster whose nodes hear of changes late and one by one, and counts connections that break.
///
/// Fails if Fairlead breaks any by a single change (0.01 % where the ring doubles), or more than 0.05 % by all of
/// them on top of each other, or more than 0.1 % where nodes boot between.
#[derive(Parser)]
struct Arguments {
    /// Flows of each run.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=16_000_000))]
    flows: u32,
    /// Nodes at first.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(4..=1000))]
    nodes: u16,
    /// What chance is made from; the same seed gives the same figures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Probe intervals of 50 ms that an object change takes to a node at most.
    #[arg(long, default_value_t = 3)]
    delay: u32,
    /// Probe intervals of silence after which a node is taken for dead.
    #[arg(long, default_value_t = 3)]
    detection: u32,
    /// Sets of eight in each node's table of flows, as a power of two; eight for each flow of a node by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(4..=24))]
    log2_sets: Option<u32>,
    /// Let every packet enter at a random node, instead of where a router sends its flow.
    #[arg(long)]
    anywhere: bool,
    /// What Fairlead's rings remember of who took new flows before.
    #[arg(long, value_enum, default_value_t = Former::Agent)]
    former: Former,
    /// Let Fairlead's nodes ask their own kernels whether they have a connection.
    #[arg(long)]
    ask_kernels: bool,
    /// Fairlead alone, without the other schemes.
    #[arg(long)]
    alone: bool,
    /// Only events with this in their name.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Also draw the broken connections here, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Also write the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Who is noted as a former leader.
#[derive(Clone, Copy, ValueEnum)]
enum Former {
    /// Nobody.
    Nothing,
    /// Who led a slot by the last ring.
    Leaders,
    /// All that an agent notes: also who took a slot's flows while its leader was dead.
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

    const fn ingress(&self) -> Ingress {
        if self.anywhere { Ingress::Anywhere } else { Ingress::Router }
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

/// A bar that shows itself when there has been something to wait for.
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

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
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

fn simulate(arguments: &Arguments) -> Result<Report> {
    let (sets, memory) = (arguments.sets(), arguments.former.memory());
    let subjects = arguments.subjects();
    ensure!(!subjects.is_empty(), "no event of that name");
    let packets = |subject: &Subject| {
        Traffic::packets(arguments.flows, &Trace::new(*subject, arguments.nodes, arguments.seed))
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
    Ok(Report {
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
