//! `cargo xtask bench packet`: what one packet costs in the XDP program.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
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

/// Loads the cases and gives each of them its turn, again and again.
fn measure(cases: Vec<Case>, rounds: u32, packets: u32) -> Result<Vec<Prepared>> {
    let progress = progress::bar("load", cases.len());
    let mut prepared = Vec::with_capacity(cases.len());
    for case in cases {
        prepared.push(Prepared::new(case)?);
        progress.inc(1);
    }
    progress.finish_and_clear();
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
