//! `cargo xtask bench packet`: what one packet costs in the XDP program.

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use fairlead_bench::packet::cases::{self, Case, Program};
use fairlead_bench::packet::measure::Prepared;
use fairlead_bench::packet::report::{self, Report};
use fairlead_bench::packet::{goals, progress};

/// Measures nanoseconds a packet by BPF_PROG_TEST_RUN, beside a reference and a floor; needs root.
#[derive(Parser)]
struct Arguments {
    /// Times that each case has its turn.
    #[arg(long, default_value_t = 41)]
    rounds: u32,
    /// Packets of one turn.
    #[arg(long, default_value_t = 100_000)]
    packets: u32,
    /// A tenth of the rounds and of the packets, to see that it works.
    #[arg(long)]
    quick: bool,
    /// Measure only what has this in its name, and what it is held against.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Also write the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (rounds, packets) = if arguments.quick {
        (arguments.rounds.div_ceil(10), arguments.packets.div_ceil(10))
    } else {
        (arguments.rounds, arguments.packets)
    };
    let cases = chosen(arguments.only.as_deref());
    let mut prepared = measure(cases, rounds, packets)?;
    prepared.iter_mut().try_for_each(|case| case.check())?;
    let lines = report::lines(&prepared);
    let report = Report { goals: goals::judge(&lines), lines };
    println!("{}\n", report::table(&report.lines));
    println!("{}\n", report::goals(&report.goals));
    println!("{rounds} rounds of {packets} packets a case, in turns.\n{NOTES}");
    if let Some(path) = arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// What a reader of the tables must know.
const NOTES: &str = "\
ns are those of the program alone: what the harness costs, which makes each packet anew, is taken off. The reference
is a load balancer with a Maglev ring, a kernel LRU hash of flows and IP-in-IP, written for this benchmark; the floor
is the least program that does all that l2 does. Ratios are those of the minima and of the medians, to the same number
of flows; a goal is met by both. The distance from minimum to median is this machine's noise: compare ratios of one
run only. Tunnels hold one more move of the packet's first byte than on a wire, to take theirs back.";

/// The cases with a text in their names, and those that have to be there beside them.
fn chosen(only: Option<&str>) -> Vec<Case> {
    let mut cases = cases::all();
    if let Some(text) = only {
        cases.retain(|case| case.kind.program != Program::Judged || case.kind.name.contains(text));
    }
    cases
}

/// Gives each of the cases its turn, again and again.
fn measure(cases: Vec<Case>, rounds: u32, packets: u32) -> Result<Vec<Prepared>> {
    let mut prepared = prepare(cases)?;
    let progress = progress::bar("measure", rounds as usize);
    for _ in 0..rounds {
        for case in &mut prepared {
            case.run(packets)?;
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(prepared)
}

/// Loads the cases, as many at once as there are CPUs: the kernel's verifier takes the most time of it.
fn prepare(cases: Vec<Case>) -> Result<Vec<Prepared>> {
    let progress = progress::bar("load", cases.len());
    let threads = thread::available_parallelism()?.get();
    let share = cases.len().div_ceil(threads).max(1);
    let load = |cases: &[Case]| -> Result<Vec<Prepared>> {
        let prepared = cases.iter().map(|case| Prepared::new(case.clone()).inspect(|_| progress.inc(1)));
        prepared.collect()
    };
    let shares: Vec<Result<Vec<Prepared>>> = thread::scope(|scope| {
        let workers: Vec<_> = cases.chunks(share).map(|cases| scope.spawn(|| load(cases))).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.map(|result| result.unwrap_or_else(|_| Err(anyhow!("a thread that loads panicked")))).collect()
    });
    progress.finish_and_clear();
    let shares = shares.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(shares.into_iter().flatten().collect())
}
