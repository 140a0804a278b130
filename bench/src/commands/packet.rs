//! `cargo xtask bench packet`: the cost of a packet in the XDP program.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use fairlead_bench::packet::case::{Case, Program};
use fairlead_bench::packet::cases;
use fairlead_bench::packet::live::{self, Amount};
use fairlead_bench::packet::measure::Prepared;
use fairlead_bench::packet::{goals, report, sizes, table};
use fairlead_bench::progress;
use fairlead_bench::results::{self, ResultTable, RunStart};

/// Measures nanoseconds per packet by BPF_PROG_TEST_RUN, with a reference and a floor; needs root. Fails if a
/// goal is missed.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Rounds: how often each case is run.
    #[arg(long, default_value_t = 41)]
    rounds: u32,
    /// Packets of one run.
    #[arg(long, default_value_t = 100_000)]
    packets: u32,
    /// A tenth of the rounds and packets, as a smoke test.
    #[arg(long)]
    quick: bool,
    /// Measure only cases with this text in their names, and the cases that they are compared with.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Measure only live frames on a veth pair, in packets per second.
    #[arg(long, conflicts_with = "only")]
    live: bool,
    /// Measure only the sizes of the programs and the verifier's work.
    #[arg(long, conflicts_with_all = ["only", "live", "quick"])]
    sizes: bool,
    /// Also write the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let start = RunStart::now()?;
    let mut tables = Vec::new();
    if !arguments.sizes && !arguments.live {
        tables.push(costs(&arguments)?);
    }
    if !arguments.sizes && arguments.only.is_none() {
        tables.push(live_frames(&arguments)?);
    }
    if !arguments.live && arguments.only.is_none() {
        tables.push(show_sizes()?);
    }
    let are_met = tables.iter().all(|table| table.goals.iter().all(|goal| goal.is_met(table)));
    if let Some(path) = &arguments.json {
        results::write(path, arguments.quick, &start, tables)?;
    }
    Ok(if are_met || arguments.quick { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures the cost of each case, and prints it.
fn costs(arguments: &Arguments) -> Result<ResultTable> {
    let (rounds, packets) = if arguments.quick {
        (arguments.rounds.div_ceil(10), arguments.packets.div_ceil(10))
    } else {
        (arguments.rounds, arguments.packets)
    };
    let cases = chosen(arguments.only.as_deref())?;
    let prepared = measure(cases, rounds, packets)?;
    prepared.iter().try_for_each(Prepared::check)?;
    let lines = report::lines(&prepared);
    println!("{}\n\n{}\n", report::table(&lines), report::goals(&goals::judge(&lines)));
    println!("{rounds} rounds of {packets} packets a case, in turns.\n{NOTES}\n");
    Ok(table::costs(&prepared, &lines))
}

/// Measures live frames, and prints them.
fn live_frames(arguments: &Arguments) -> Result<ResultTable> {
    let amount = if arguments.quick {
        Amount { turns: 3, frames: 50_000 }
    } else {
        Amount { turns: 15, frames: 200_000 }
    };
    let progress = progress::bar("live frames", live::steps(amount));
    let lines = live::measure(amount, &progress).context("live frames")?;
    progress.finish_and_clear();
    println!("{}\n\n{LIVE_NOTES}\n", report::live(&lines));
    Ok(table::live(&lines))
}

/// Measures the sizes of the programs, and prints them.
fn show_sizes() -> Result<ResultTable> {
    let progress = progress::bar("load", sizes::steps());
    let sizes = sizes::measure(&progress)?;
    progress.finish_and_clear();
    println!("{}\n\n{SIZE_NOTES}\n", report::sizes(&sizes.programs));
    println!("{}", report::functions(&sizes.functions));
    Ok(table::sizes(&sizes.programs))
}

/// Notes on the table of live frames.
const LIVE_NOTES: &str = "\
Frames of 64 bytes in 65,536 flows of 1,000 VIPs, made by the kernel on one CPU and carried by it from veth to veth,
or up the stack, which drops them. \"nothing\" makes the packet and passes or transmits it: what is left is the kernel's.";

/// Notes on the table of sizes.
const SIZE_NOTES: &str = "\
As this kernel has them, the fastest of three loads. The kernel does not count the instructions that a packet takes.";

/// Notes on the tables.
const NOTES: &str = "\
ns are those of the program alone: what the harness costs, which makes each packet anew, is taken off. The reference
is a load balancer with a Maglev ring, a kernel LRU hash of flows and IP-in-IP, written for this benchmark; the floor
is the least program that does all that l2 does. Ratios are those of the minima and of the medians, to the same number
of flows; a goal is met by both. The distance from minimum to median is this machine's noise: compare ratios of one
run only. Tunnels hold one more move of the packet's first byte than on a wire, to take theirs back.";

/// Returns the cases with a text in their names, and those that they are compared with.
fn chosen(only: Option<&str>) -> Result<Vec<Case>> {
    let mut cases = cases::all();
    if let Some(text) = only {
        ensure!(
            cases.iter().any(|case| case.kind.name.contains(text)),
            "no case has {text:?} in its name; run without --only to see all"
        );
        cases.retain(|case| case.kind.program != Program::Judged || case.kind.name.contains(text));
    }
    Ok(cases)
}

/// Runs the cases in turns, round after round.
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

/// Loads the cases on all CPUs: most of the time is the kernel's verifier's.
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
