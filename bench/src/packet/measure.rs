//! The measurement: a loaded object for each case, run in turns.

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::maps::PerCpuArray;
use aya::programs::{TestRun, TestRunOptions, TestRunResult, Xdp};
use lb_common::map_table::name;
use lb_common::trace::{RECORD_BYTES, RING_BYTES, TraceSettings, default_verdicts};
use lb_dataplane::tracing_program::{self, TraceMaps};

use super::case::{Case, Program, TraceKind};
use super::{cluster, objects, others};

/// Bytes of the buffer for a packet that has grown.
const GROWTH: usize = 128;

/// Bytes of each packet that a trace records.
const SNAP: u32 = 128;
/// Records that fit into the ring buffer, with its own header of eight bytes: those of one run.
const RECORDS: u32 = RING_BYTES / (RECORD_BYTES as u32 + SNAP + 16);

/// A case, ready to run.
pub struct Prepared {
    /// The case.
    pub case: Case,
    ebpf: Ebpf,
    frame: Vec<u8>,
    /// The trace of the tracing program.
    trace: Option<TraceMaps>,
    runs: u64,
    /// Of these, those that recorded the flows: most of their records do not fit.
    first_runs: u64,
    /// Nanoseconds per packet of each round.
    pub rounds: Vec<u64>,
}

impl Prepared {
    /// Loads the object, fills its maps, and sends each packet once, so that flows are recorded.
    ///
    /// # Errors
    /// When the object is not built, the kernel refuses it, or a packet's result is not the expected one.
    pub fn new(case: Case) -> Result<Self> {
        let name = case.kind.name;
        Self::load(case).and_then(Self::begin).with_context(|| format!("case {name}"))
    }

    fn load(case: Case) -> Result<Self> {
        let mut ebpf = objects::load(&case, &cluster::tables(&case))?;
        let program: &mut Xdp =
            ebpf.program_mut(objects::program_name(&case)).context("no such program")?.try_into()?;
        program.load().context("the verifier refuses the program")?;
        let frame = case.kind.frame.bytes();
        let trace = match case.kind.program {
            Program::Traced(kind) => Some(trace_of(kind, &mut ebpf)?),
            _ => None,
        };
        let mut prepared = Self { case, ebpf, frame, trace, runs: 0, first_runs: 0, rounds: Vec::new() };
        prepared.write_plan(prepared.case.kind.growth)?;
        Ok(prepared)
    }

    fn begin(mut self) -> Result<Self> {
        if self.case.kind.program == Program::Nothing {
            return Ok(self);
        }
        let first = self.first_frame()?;
        match self.case.kind.program {
            Program::Reference if others::forwards(&self.case) => {
                let due = others::encapsulated(&self.ebpf, &self.case, &self.first_packet())?;
                ensure!(first == due, "sent {first:x?} instead of {due:x?}");
            }
            Program::Floor => {
                let mut twin = self.case.clone();
                twin.kind.program = Program::Judged;
                let due = Self::load(twin)?.first_frame()?;
                ensure!(first == due, "sent {first:x?}, the program {due:x?}");
            }
            _ => {}
        }
        self.test_run(1 << self.case.turn_bits(), None)?;
        self.first_runs = self.runs;
        Ok(self)
    }

    /// Returns the first packet as the program rewrites it.
    fn first_frame(&mut self) -> Result<Vec<u8>> {
        self.write_plan(0)?;
        let mut out = vec![0; self.frame.len() + GROWTH];
        let result = self.test_run(1, Some(&mut out))?;
        out.truncate(result.data_size_out as usize);
        self.write_plan(self.case.kind.growth)?;
        Ok(out)
    }

    /// Returns the first packet as the harness creates it.
    fn first_packet(&self) -> Vec<u8> {
        self.case.packet(1, &self.frame)
    }

    fn write_plan(&mut self, growth: i32) -> Result<()> {
        if self.case.kind.program != Program::Nothing {
            objects::write_plan(&mut self.ebpf, &self.case, &self.frame, growth)?;
        }
        Ok(())
    }

    fn test_run(&mut self, packets: u32, out: Option<&mut [u8]>) -> Result<TestRunResult> {
        let program: &Xdp =
            self.ebpf.program(objects::program_name(&self.case)).context("no program")?.try_into()?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.data_out = out;
        options.repeat = packets;
        self.runs += u64::from(packets);
        let result = program.test_run(options).context("BPF_PROG_TEST_RUN")?;
        if let Some(trace) = &mut self.trace {
            trace.take_frames(usize::MAX);
        }
        Ok(result)
    }

    /// Runs this many packets and records the cost of one.
    ///
    /// # Errors
    /// When the kernel refuses the run.
    pub fn run(&mut self, packets: u32) -> Result<()> {
        // The kernel's own measurement, in whole nanoseconds: each call also waits milliseconds for a grace
        // period.
        let packets = if self.trace.is_some() { packets.min(RECORDS) } else { packets };
        let cost = self.test_run(packets, None)?.duration;
        self.rounds.push(cost.as_nanos() as u64);
        Ok(())
    }

    /// Checks that the packets of every round had the expected verdict.
    ///
    /// # Errors
    /// When one had another verdict.
    pub fn check(&self) -> Result<()> {
        if let (Program::Traced(TraceKind::All), Some(trace)) = (self.case.kind.program, &self.trace) {
            let counts = trace.counts()?;
            ensure!(
                counts.lost <= self.first_runs && counts.matched == self.runs,
                "{counts:?} of {} packets, {} of them to record the flows",
                self.runs,
                self.first_runs
            );
        }
        if !matches!(self.case.kind.program, Program::Judged | Program::Traced(_)) {
            return others::check_counts(&self.ebpf, &self.case, self.runs);
        }
        let map: PerCpuArray<_, u64> = self.ebpf.map(name::VERDICTS).context("no counters")?.try_into()?;
        let counted: u64 = map.get(&(self.case.kind.outcome as u32), 0)?.iter().sum();
        // When more flows fall into a set of the table than it holds, one of them is unknown.
        let strays = if self.case.kind.known { self.runs / 1000 } else { 0 };
        ensure!(
            counted <= self.runs && counted + strays >= self.runs,
            "{}: {counted} of {} packets had the verdict {:?}",
            self.case.kind.name,
            self.runs,
            self.case.kind.outcome
        );
        Ok(())
    }

    /// Returns the fastest round.
    pub fn minimum(&self) -> u64 {
        self.rounds.iter().copied().min().unwrap_or_default()
    }

    /// Returns the median round.
    pub fn median(&self) -> u64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable();
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    }
}

/// Begins the trace of a case.
fn trace_of(kind: TraceKind, ebpf: &mut Ebpf) -> Result<TraceMaps> {
    const HOUR: u64 = 3600 * 1_000_000_000;
    let mut maps = TraceMaps::take(ebpf)?;
    let all = TraceSettings {
        until: tracing_program::now()? + HOUR,
        verdicts: default_verdicts(),
        interval: 1,
        snap: SNAP.into(),
        ..TraceSettings::default()
    };
    maps.set(&match kind {
        TraceKind::Ended => TraceSettings { until: 0, ..all },
        TraceKind::Others => TraceSettings { client: [1; 2], client_mask: [u64::MAX; 2], ..all },
        TraceKind::OverRate => TraceSettings { interval: 1_000_000_000, ..all },
        TraceKind::All => all,
    })?;
    Ok(maps)
}
