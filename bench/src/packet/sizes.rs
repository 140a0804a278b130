//! How big the programs are, and what the verifier takes for them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::Xdp;
use indicatif::ProgressBar;
use lb_agent::dataplane::object;

use super::objects;

/// Times that a program is loaded; the fastest counts.
const LOADS: usize = 3;

/// The programs: what the report calls them, whose they are, and their names there.
const PROGRAMS: [(&str, Source, &str); 4] = [
    ("Fairlead", Source::Product, object::PROGRAM),
    ("empty", Source::Product, object::EMPTY_PROGRAM),
    ("reference, under the harness", Source::Reference, "reference"),
    ("floor, under the harness", Source::Reference, "least"),
];

#[derive(Clone, Copy)]
enum Source {
    Product,
    Reference,
}

/// One line of the report.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SizeLine {
    /// What the program is.
    pub program: &'static str,
    /// Bytes of BPF instructions as the kernel runs them, eight each.
    pub translated: u32,
    /// Bytes of machine code.
    pub machine_code: u32,
    /// Instructions that the verifier has followed.
    pub verified: u32,
    /// Milliseconds that the kernel takes to load it.
    pub load_ms: f64,
}

/// Steps that [`measure`] takes.
pub const fn steps() -> usize {
    PROGRAMS.len()
}

/// Loads every program and asks the kernel.
///
/// # Errors
/// When an object is not built, or the kernel refuses a program or the question.
pub fn measure(progress: &ProgressBar) -> Result<Vec<SizeLine>> {
    let reference = objects::read(objects::REFERENCE_OBJECT)?;
    let lines = PROGRAMS.iter().map(|(program, source, name)| {
        let object = match source {
            Source::Product => object::OBJECT,
            Source::Reference => &reference,
        };
        progress.inc(1);
        line(program, object, name).with_context(|| format!("load {program}"))
    });
    lines.collect()
}

fn line(program: &'static str, object: &[u8], name: &str) -> Result<SizeLine> {
    let mut ebpf = Ebpf::load(object)?;
    let loaded: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
    let mut fastest = Duration::MAX;
    for load in 0..LOADS {
        if load > 0 {
            loaded.unload()?;
        }
        let begin = Instant::now();
        loaded.load()?;
        fastest = fastest.min(begin.elapsed());
    }
    let info = loaded.info()?;
    Ok(SizeLine {
        program,
        translated: info.size_translated().unwrap_or_default(),
        machine_code: info.size_jitted(),
        verified: info.verified_instruction_count().unwrap_or_default(),
        load_ms: fastest.as_secs_f64() * 1000.0,
    })
}
