//! `cargo xtask bench packet`: what one packet costs in the XDP program.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use fairlead_bench::packet::cases::{self, Program};
use fairlead_bench::packet::measure::Prepared;
use fairlead_bench::packet::report::{lines, table};

/// Measures nanoseconds a packet by BPF_PROG_TEST_RUN; needs root.
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
    /// Measure only what has this in its name, and the floors.
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
    let mut cases = cases::all();
    if let Some(text) = &arguments.only {
        cases.retain(|case| case.kind.program != Program::Judged || case.kind.name.contains(text));
    }
    let mut prepared = cases.into_iter().map(Prepared::new).collect::<Result<Vec<_>>>()?;
    for _ in 0..rounds {
        for case in &mut prepared {
            case.run(packets)?;
        }
    }
    for case in &prepared {
        case.check()?;
    }
    let lines = lines(&prepared);
    println!("{}\n", table(&lines));
    println!(
        "{rounds} rounds of {packets} packets a case, in turns. min and median hold the harness that makes \
         each packet anew;\nprogram is min without it, as one call of the program by the kernel's test run. \
         GUE and decapsulation hold one\nmore move of the packet's first byte than on a wire, to take theirs \
         back. The distance from min to median is\nthis machine's noise: compare ratios of one run only."
    );
    if let Some(path) = arguments.json {
        let text = serde_json::to_string_pretty(&lines)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
