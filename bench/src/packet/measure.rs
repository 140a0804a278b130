//! Measuring: each case a loaded object of its own, all of them in turns.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, PerCpuArray};
use aya::programs::{TestRun, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfLoader};
use fairlead_tests::kernel::fill;
use fairlead_tests::model::HostTables;
use lb_agent::dataplane::object;
use lb_common::flows::{Entry, FlowKey, Standing};
use lb_common::hash::{FlowPorts, flow_hash_v4, flow_hash_v6};
use lb_common::maps::name;
use lb_common::tables::Tables;

use super::cases::{Case, Program};
use super::kinds::{self, SOURCE_PORT};
use super::{cluster, others};

/// Bytes of the template in the harness's plan.
const TEMPLATE: usize = 96;
/// The plan as it lies in memory: template, then eight words.
type Plan = [u8; TEMPLATE + 8 * 4];

/// Room for a packet that has grown.
const GROWTH: usize = 128;

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

/// One of the objects with a harness; a developer's file that is in no binary.
fn harness_object(name: &str) -> Result<Vec<u8>> {
    let directory =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/bpfel-unknown-none/release");
    let path = match std::env::var_os("FAIRLEAD_BENCH_OBJECT").filter(|_| name == HARNESS_OBJECT) {
        Some(path) => PathBuf::from(path),
        None => directory.join(name),
    };
    fs::read(&path).with_context(|| format!("read {}: run `cargo xtask build-ebpf` first", path.display()))
}

const HARNESS_OBJECT: &str = "fairlead-bench";
const REFERENCE_OBJECT: &str = "fairlead-reference";

impl Prepared {
    /// Loads the object, fills its maps, and sends each packet once, so that what is learnt from packets is known.
    ///
    /// # Errors
    /// When the object is not built, the kernel refuses it, or a packet does not become what it must.
    pub fn new(case: Case) -> Result<Self> {
        let name = case.kind.name;
        Self::load(case).and_then(Self::begin).with_context(|| format!("case {name}"))
    }

    fn load(case: Case) -> Result<Self> {
        let mut ebpf = match case.kind.program {
            Program::Nothing | Program::Harness | Program::Judged => load_product(&case)?,
            Program::Reference | Program::Floor => load_other(&case)?,
        };
        let program: &mut Xdp =
            ebpf.program_mut(program_name(&case)).context("no such program")?.try_into()?;
        program.load().context("the verifier refuses the program")?;
        let frame = case.kind.frame.bytes();
        let mut prepared = Self { case, ebpf, frame, runs: 0, rounds: Vec::new() };
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
        Ok(self)
    }

    /// The first packet as the program leaves it.
    fn first_frame(&mut self) -> Result<Vec<u8>> {
        self.write_plan(0)?;
        let mut out = vec![0; self.frame.len() + GROWTH];
        let result = self.test_run(1, Some(&mut out))?;
        out.truncate(result.data_size_out as usize);
        self.write_plan(self.case.kind.growth)?;
        Ok(out)
    }

    /// The first packet as the harness makes it.
    fn first_packet(&self) -> Vec<u8> {
        self.case.packet(1, &self.frame)
    }

    fn write_plan(&mut self, growth: i32) -> Result<()> {
        if self.case.kind.program != Program::Nothing {
            let plan = plan(&self.case, &self.frame, growth)?;
            let mut plans: Array<_, Plan> = self.ebpf.map_mut("bench_plan").context("no plan")?.try_into()?;
            plans.set(0, plan, 0)?;
        }
        Ok(())
    }

    fn test_run(&mut self, packets: u32, out: Option<&mut [u8]>) -> Result<TestRunResult> {
        let program: &Xdp = self.ebpf.program(program_name(&self.case)).context("no program")?.try_into()?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.data_out = out;
        options.repeat = packets;
        self.runs += u64::from(packets);
        program.test_run(options).context("BPF_PROG_TEST_RUN")
    }

    /// Runs as many packets and notes what one has cost.
    ///
    /// # Errors
    /// When the kernel refuses the run.
    pub fn run(&mut self, packets: u32) -> Result<()> {
        // The kernel's own figure, in whole nanoseconds: around the packets of a call it waits milliseconds
        // for a grace period.
        let cost = self.test_run(packets, None)?.duration;
        self.rounds.push(cost.as_nanos() as u64);
        Ok(())
    }

    /// That the packets of every round have had the verdict that they are named after.
    ///
    /// # Errors
    /// When one has not.
    pub fn check(&self) -> Result<()> {
        if self.case.kind.program != Program::Judged {
            return others::check_counts(&self.ebpf, &self.case, self.runs);
        }
        let map: PerCpuArray<_, u64> = self.ebpf.map(name::REFUSALS).context("no counters")?.try_into()?;
        let counted: u64 = map.get(&(self.case.kind.outcome as u32), 0)?.iter().sum();
        // Where more flows fall in one set of the table than it holds, one of them is not known.
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

/// The product's program or the harness around it, with the maps of the cluster.
fn load_product(case: &Case) -> Result<Ebpf> {
    let tables = cluster::tables(case);
    if case.kind.known {
        know_flows(&tables, case);
    }
    let object = match case.kind.program {
        Program::Nothing => object::OBJECT.to_vec(),
        _ => harness_object(HARNESS_OBJECT)?,
    };
    let mut ebpf = EbpfLoader::new()
        .map_max_entries(name::RINGS, tables.sizes.slots)
        .map_max_entries(name::NODES, tables.sizes.nodes)
        .map_max_entries(name::NODE_STATS, tables.sizes.nodes)
        .map_max_entries(name::VIP_STATS, tables.sizes.vip_stats)
        .load(&object)
        .context("load the object (needs root)")?;
    fill(&mut ebpf, &tables)?;
    Ok(ebpf)
}

/// The reference and the floor, with their maps.
fn load_other(case: &Case) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    for (map, entries) in others::sizes(case) {
        loader.map_max_entries(map, entries);
    }
    let mut ebpf = loader.load(&harness_object(REFERENCE_OBJECT)?).context("load the object (needs root)")?;
    others::fill(&mut ebpf, case)?;
    Ok(ebpf)
}

/// Notes every flow of a case as this node's own.
fn know_flows(tables: &HostTables, case: &Case) {
    let bits = case.turn_bits();
    for turn in 0..1 << bits {
        let (flow, vip) = case.flow_and_vip(turn, bits);
        let [c, d] = (SOURCE_PORT + (flow >> 16) as u16).to_be_bytes();
        let [e, f] = cluster::PORT.to_be_bytes();
        let ports = FlowPorts { ports: [c, d, e, f], protocol: case.kind.protocol };
        let key = &cluster::FLOW_KEYS;
        let hash = if case.kind.frame.is_v4() {
            flow_hash_v4(key, kinds::client4(flow as u16), cluster::vip4(vip), ports)
        } else {
            flow_hash_v6(key, &kinds::client6(flow as u16), &cluster::vip6(vip), ports)
        };
        let entry = Entry { node: cluster::SELF, standing: Standing::Open, age: 0 };
        tables.note_flow(FlowKey::of(hash), entry);
    }
}

const fn program_name(case: &Case) -> &'static str {
    match case.kind.program {
        Program::Nothing => object::EMPTY_PROGRAM,
        Program::Harness => "harness",
        Program::Judged => "judged",
        Program::Reference => "reference",
        Program::Floor => "least",
    }
}

fn plan(case: &Case, frame: &[u8], growth: i32) -> Result<Plan> {
    let template: [u8; TEMPLATE] = *frame.first_chunk().context("a frame shorter than the template")?;
    let kind = &case.kind;
    let words = [
        case.size.flows - 1,
        u32::from(case.size.vips),
        kind.flow_at,
        kind.port_at,
        u32::from(SOURCE_PORT),
        kind.vip_at,
        growth as u32,
        case.turn_bits(),
    ];
    let mut plan = [0; _];
    plan[..TEMPLATE].copy_from_slice(&template);
    for (bytes, word) in plan[TEMPLATE..].chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    Ok(plan)
}
