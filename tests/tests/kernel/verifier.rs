//! What this kernel's verifier has to do for each program, and how much of its limits that takes. The lane of
//! other kernels reads the lines that begin with `verified`.

use anyhow::{Context, Result, ensure};
use aya::programs::{ProgramError, Xdp};
use aya::{EbpfLoader, VerifierLogLevel};
use fairlead_tests::stack::{self, Functions};
use lb_common::map_table::name;
use lb_dataplane::kernel_lookup::{self, KernelLookup};
use lb_dataplane::object::{EMPTY_PROGRAM, LOOKUP_PROGRAM, PROGRAM, TRACE_PROGRAM};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Instructions that the verifier follows before it gives up (`BPF_COMPLEXITY_LIMIT_INSNS`).
const LIMIT: u32 = 1_000_000;
/// Half of them: kernels differ by as much as a change of the program does.
const BUDGET: u32 = LIMIT / 2;
/// Bytes of stack of the deepest chain of calls, counted as the oldest kernels do. It cannot be half of the
/// limit: the function that reads all headers takes half by itself, and calls others. What is left takes one
/// more small function.
const STACK_BUDGET: u32 = stack::LIMIT - 32;

/// What the verifier says of a program that it accepts.
struct Verified {
    instructions: u32,
    /// Bytes of stack of each function, the largest first.
    frames: Vec<u32>,
}

/// Makes the kernel verify a program. It reports statistics only of a program that fails to load, so this one
/// fails behind the verifier: the process may open no further file.
fn verify(object: &[u8], program: &str) -> Result<Verified> {
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::STATS).map_max_entries(name::RINGS, 1);
    let mut ebpf = loader.load(object)?;
    let xdp: &mut Xdp = ebpf.program_mut(program).context("no such program")?.try_into()?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard)?;
    let loaded = xdp.load();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    let Err(ProgramError::LoadError { io_error, verifier_log }) = loaded else {
        anyhow::bail!("no answer of the verifier: {loaded:?}");
    };
    let log = verifier_log.to_string();
    ensure!(io_error.raw_os_error() == Some(libc::EMFILE), "{program} is refused: {io_error}\n{log}");
    read(&log).with_context(|| format!("the verifier says of {program}: {log:?}"))
}

/// `processed 167439 insns (limit 1000000) …`; and `stack depth 0+248+20`, on Linux 7.2 with ` max 272`
/// behind it, or on 7.3 a line for each function, `subprog 2 (lb_judge) global … stack 128`.
fn read(log: &str) -> Option<Verified> {
    let line = |start: &str| log.lines().find_map(|line| line.strip_prefix(start));
    let instructions = line("processed ")?.split_once(" insns")?.0.parse().ok()?;
    let functions = || log.lines().filter(|line| line.starts_with("subprog "));
    let number = |bytes: &str| bytes.trim().parse().ok();
    let mut frames: Vec<u32> = if functions().next().is_some() {
        functions().map(|line| number(line.rsplit_once(" stack ")?.1)).collect::<Option<_>>()?
    } else {
        line("stack depth ")?.split(" max").next()?.split('+').map(number).collect::<Option<_>>()?
    };
    frames.sort_unstable_by(|a, b| b.cmp(a));
    Some(Verified { instructions, frames })
}

#[test]
fn each_program_takes_at_most_its_budget_of_the_verifier() -> Result<()> {
    let object = kernel_lookup::prepare(KernelLookup::Auto).object;
    let functions = Functions::of(&object)?;
    for program in [PROGRAM, TRACE_PROGRAM, LOOKUP_PROGRAM, EMPTY_PROGRAM] {
        let Verified { instructions, frames } = verify(&object, program)?;
        let (stack, chain) = functions.deepest(program)?;
        println!("verified {program} instructions={instructions} stack={stack}");
        ensure!(instructions <= BUDGET, "{program}: {instructions} of {LIMIT} instructions, not {BUDGET}");
        ensure!(stack <= STACK_BUDGET, "{program}: {stack} bytes of stack, not {STACK_BUDGET}: {chain:?}");
        // Newer kernels round each up to eight bytes.
        let read = functions.frames(program)?.into_iter().map(|bytes| bytes.next_multiple_of(8));
        let agrees = frames.iter().zip(read).all(|(verifier, read)| *verifier <= read);
        ensure!(
            agrees,
            "{program}: the verifier sees {frames:?}, the object has {:?}",
            functions.frames(program)?
        );
    }
    Ok(())
}
