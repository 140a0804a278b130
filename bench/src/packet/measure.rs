//! Measuring: each case a loaded object of its own, all of them in turns.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, PerCpuArray};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use fairlead_tests::kernel::fill;
use fairlead_tests::model::HostTables;
use lb_agent::dataplane::object;
use lb_common::flows::{Entry, FlowKey, Standing};
use lb_common::hash::{FlowPorts, flow_hash_v4};
use lb_common::maps::name;
use lb_common::tables::Tables;

use super::cases::{Case, Program, SOURCE_PORT};
use super::cluster;

/// Bytes of the template in the harness's plan.
const TEMPLATE: usize = 96;
/// The plan as it lies in memory: template, then eight words.
type Plan = [u8; TEMPLATE + 8 * 4];

/// A case, ready to run.
pub struct Prepared {
    /// What is measured.
    pub case: Case,
    ebpf: Ebpf,
    frame: Vec<u8>,
    runs: u64,
    /// Nanoseconds a packet, one for each round.
    pub rounds: Vec<u64>,
}

/// The object with the harness; a developer's file that is in no binary.
fn harness_object() -> Result<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../target/bpf/bpfel-unknown-none/release/fairlead-bench");
    let path = std::env::var_os("FAIRLEAD_BENCH_OBJECT").map_or(path, PathBuf::from);
    fs::read(&path).with_context(|| format!("read {}: run `cargo xtask build-ebpf` first", path.display()))
}

impl Prepared {
    /// Loads the object and fills its maps.
    ///
    /// # Errors
    /// When the object is not built, or the kernel refuses it.
    pub fn new(case: Case) -> Result<Self> {
        let tables = cluster::tables(&case);
        if case.kind.known {
            know_flows(&tables, &case);
        }
        let object = match case.kind.program {
            Program::Nothing => object::OBJECT.to_vec(),
            Program::Harness | Program::Judged => harness_object()?,
        };
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(name::RINGS, tables.sizes.slots)
            .map_max_entries(name::NODES, tables.sizes.nodes)
            .map_max_entries(name::NODE_STATS, tables.sizes.nodes)
            .map_max_entries(name::VIP_STATS, tables.sizes.vip_stats)
            .load(&object)
            .context("load the object (needs root)")?;
        fill(&mut ebpf, &tables)?;
        let frame = case.kind.frame.bytes();
        if case.kind.program != Program::Nothing {
            let mut plans: Array<_, Plan> = ebpf.map_mut("bench_plan").context("no plan")?.try_into()?;
            plans.set(0, plan(&case, &frame)?, 0)?;
        }
        let program: &mut Xdp =
            ebpf.program_mut(program_name(&case)).context("no such program")?.try_into()?;
        program.load().context("the verifier refuses the program")?;
        Ok(Self { case, ebpf, frame, runs: 0, rounds: Vec::new() })
    }

    /// Runs as many packets and notes what one has cost.
    ///
    /// # Errors
    /// When the kernel refuses the run.
    pub fn run(&mut self, packets: u32) -> Result<()> {
        let program: &Xdp = self.ebpf.program(program_name(&self.case)).context("no program")?.try_into()?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.repeat = packets;
        // The kernel's own figure, in whole nanoseconds: around the packets of a call it waits milliseconds
        // for a grace period.
        let cost = program.test_run(options).context("BPF_PROG_TEST_RUN")?.duration;
        self.rounds.push(cost.as_nanos() as u64);
        self.runs += u64::from(packets);
        Ok(())
    }

    /// That the packets of every round have come to what they are named after.
    ///
    /// # Errors
    /// When one has not.
    pub fn check(&self) -> Result<()> {
        if self.case.kind.program != Program::Judged {
            return Ok(());
        }
        let map: PerCpuArray<_, u64> = self.ebpf.map(name::REFUSALS).context("no counters")?.try_into()?;
        let counted: u64 = map.get(&(self.case.kind.outcome as u32), 0)?.iter().sum();
        // Where more flows fall in one set of the table than it holds, one of them is not known.
        let strays = if self.case.kind.known { self.runs / 1000 } else { 0 };
        ensure!(
            counted <= self.runs && counted + strays >= self.runs,
            "{}: {counted} of {} packets came to {:?}",
            self.case.kind.name,
            self.runs,
            self.case.kind.outcome
        );
        Ok(())
    }

    /// The fastest round.
    pub fn minimum(&self) -> u64 {
        self.rounds.iter().copied().min().unwrap_or_default()
    }

    /// The round in the middle.
    pub fn median(&self) -> u64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable();
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    }
}

/// Notes every flow of a case as this node's own.
fn know_flows(tables: &HostTables, case: &Case) {
    let bits = case.turn_bits();
    for turn in 0..1 << bits {
        let (flow, vip) = case.flow_and_vip(turn, bits);
        let [a, b] = (flow as u16).to_be_bytes();
        let [c, d] = (SOURCE_PORT + (flow >> 16) as u16).to_be_bytes();
        let [e, f] = cluster::PORT.to_be_bytes();
        let ports = FlowPorts { ports: [c, d, e, f], protocol: 6 };
        let hash = flow_hash_v4(&cluster::FLOW_KEYS, [10, 9, a, b], cluster::vip4(vip), ports);
        let entry = Entry { node: cluster::SELF, standing: Standing::Open, age: 0 };
        tables.note_flow(FlowKey::of(hash), entry);
    }
}

const fn program_name(case: &Case) -> &'static str {
    match case.kind.program {
        Program::Nothing => object::EMPTY_PROGRAM,
        Program::Harness => "harness",
        Program::Judged => "judged",
    }
}

fn plan(case: &Case, frame: &[u8]) -> Result<Plan> {
    let template: [u8; TEMPLATE] = *frame.first_chunk().context("a frame shorter than the template")?;
    let kind = &case.kind;
    let words = [
        case.flows - 1,
        u32::from(case.vips),
        kind.flow_at,
        kind.port_at,
        u32::from(SOURCE_PORT),
        kind.vip_at,
        kind.growth as u32,
        case.turn_bits(),
    ];
    let mut plan = [0; _];
    plan[..TEMPLATE].copy_from_slice(&template);
    for (bytes, word) in plan[TEMPLATE..].chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    Ok(plan)
}
