//! The sizes of the programs, and the verifier's effort.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::Xdp;
use indicatif::ProgressBar;
use lb_dataplane::kernel_lookup::{self, KernelLookup};
use lb_dataplane::object as product;
use object::{File, Object, ObjectSymbol, SymbolKind};

use super::objects;

/// Loads per program; the fastest one counts.
const LOADS: usize = 3;

/// The programs: name in the report, source, and name in the object.
const PROGRAMS: [(&str, Source, &str); 5] = [
    ("Fairlead", Source::Product, product::PROGRAM),
    ("Fairlead, asking the kernel", Source::Asking, product::PROGRAM),
    ("empty", Source::Product, product::EMPTY_PROGRAM),
    ("reference, under the harness", Source::Reference, "reference"),
    ("floor, under the harness", Source::Reference, "least"),
];

#[derive(Clone, Copy)]
enum Source {
    Product,
    /// The same, as an agent loads it.
    Asking,
    Reference,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub struct SizeLine {
    /// The program's name in the report.
    pub program: &'static str,
    /// Bytes of BPF instructions after verification, eight each.
    pub translated: u32,
    /// Bytes of machine code.
    pub machine_code: u32,
    /// Instructions that the verifier has processed.
    pub verified: u32,
    /// Milliseconds to load it.
    pub load_ms: f64,
}

/// A function of the product's object.
#[derive(Clone, Debug)]
pub struct FunctionLine {
    /// Its name.
    pub function: String,
    /// Its instructions of eight bytes, before the kernel removes and adds some.
    pub instructions: u64,
}

/// All sizes.
#[derive(Clone, Debug)]
pub struct ProgramSizes {
    /// The programs.
    pub programs: Vec<SizeLine>,
    /// The functions of the product's program, largest first.
    pub functions: Vec<FunctionLine>,
}

/// Returns the number of steps of [`measure`].
pub const fn steps() -> usize {
    PROGRAMS.len()
}

/// Loads every program and queries the kernel.
///
/// # Errors
/// When an object is not built, or the kernel refuses a program or the query.
pub fn measure(progress: &ProgressBar) -> Result<ProgramSizes> {
    let reference = objects::read(objects::REFERENCE_OBJECT)?;
    let asking = kernel_lookup::prepare(KernelLookup::Auto).object;
    let lines = PROGRAMS.iter().map(|(program, source, name)| {
        let object = match source {
            Source::Product => product::OBJECT,
            Source::Asking => &asking,
            Source::Reference => &reference,
        };
        progress.inc(1);
        line(program, object, name).with_context(|| format!("load {program}"))
    });
    Ok(ProgramSizes { programs: lines.collect::<Result<_>>()?, functions: functions(product::OBJECT)? })
}

/// Returns the functions of an object that deserve a line, largest first.
fn functions(object: &[u8]) -> Result<Vec<FunctionLine>> {
    let file = File::parse(object).context("read the object")?;
    let symbols = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
    let mut lines = symbols
        .map(|symbol| {
            Ok(FunctionLine { function: symbol.name()?.to_owned(), instructions: symbol.size() / 8 })
        })
        .collect::<Result<Vec<_>>>()?;
    lines.sort_by(|a, b| b.instructions.cmp(&a.instructions).then_with(|| a.function.cmp(&b.function)));
    Ok(lines)
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
