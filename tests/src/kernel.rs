//! The XDP program in the kernel, run packet by packet by `BPF_PROG_TEST_RUN`; needs root.

mod maps;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use lb_common::map_table::name;
use lb_common::maps::capacity;
use lb_common::ring::LEADERS_A_WORD;
use lb_common::trace;
use lb_dataplane::object::{EMPTY_PROGRAM, LOOKUP_PROGRAM, OBJECT, PROGRAM, TRACE_PROGRAM};
use lb_dataplane::tracing_program::TraceMaps;

pub use maps::fill;

use crate::model::{Action, HostTables, Judged, Packet, State, Totals};

/// The ingress interface of test packets: the loopback, which has a receive queue in every namespace.
pub const INGRESS: u32 = 1;

/// Room for the growth of a packet, and for the driver's metadata in front of it.
const GROWTH: usize = 512;

/// Bytes of a page, the least that a ring buffer has.
const ONE_PAGE: u32 = 4096;

/// The program with its maps filled.
pub struct Kernel {
    ebpf: Ebpf,
    /// The program that packets are run in.
    program: &'static str,
    out: Vec<u8>,
}

/// Loads an object and fills its maps from `tables`; its programs are not loaded yet.
///
/// # Errors
/// When the kernel rejects a map, or this process may not create any.
pub fn load_filled(tables: &HostTables, object: &[u8]) -> Result<Ebpf> {
    load_tracing(tables, object, ONE_PAGE)
}

/// Does the same with so many bytes for the records of a trace.
///
/// # Errors
/// As [`load_filled`].
pub fn load_tracing(tables: &HostTables, object: &[u8], ring_bytes: u32) -> Result<Ebpf> {
    let mut ebpf = EbpfLoader::new()
        .map_max_entries(name::RINGS, tables.sizes.slots)
        .map_max_entries(name::LEADERS, tables.sizes.slots.div_ceil(LEADERS_A_WORD as u32))
        .map_max_entries(name::NODES, tables.sizes.nodes)
        .map_max_entries(name::NODE_STATS, tables.sizes.nodes)
        .map_max_entries(name::ANSWERED, tables.sizes.nodes)
        .map_max_entries(name::VIP_STATS, tables.sizes.vip_stats)
        .map_max_entries(name::VIP_FLOWS, tables.sizes.vip_stats)
        .map_max_entries(name::SOURCE_REFUSED, tables.sizes.vip_stats)
        .map_max_entries(name::L2_STATS, tables.sizes.vip_stats)
        .map_max_entries(trace::map::RECORDS, ring_bytes)
        .load(object)
        .context("load the XDP object (needs root)")?;
    fill(&mut ebpf, tables)?;
    Ok(ebpf)
}

impl Kernel {
    /// Loads the program embedded in this build and fills its maps from `tables`.
    ///
    /// # Errors
    /// When the object is missing, the kernel rejects it, or this process may not load programs.
    pub fn load(tables: &HostTables) -> Result<Self> {
        Self::load_object(tables, OBJECT)
    }

    /// Does the same as [`Kernel::load`] with another build of the object.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn load_object(tables: &HostTables, object: &[u8]) -> Result<Self> {
        ensure!(!object.is_empty(), "built without the XDP object: run `cargo xtask build-ebpf` first");
        let mut ebpf = load_filled(tables, object)?;
        for name in [PROGRAM, LOOKUP_PROGRAM, EMPTY_PROGRAM] {
            let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("the verifier rejects program {name}"))?;
        }
        Ok(Self { ebpf, program: PROGRAM, out: Vec::new() })
    }

    /// Loads the tracing program instead, with what its trace reads and writes.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn load_tracing(tables: &HostTables) -> Result<(Self, TraceMaps)> {
        let mut ebpf = load_filled(tables, OBJECT)?;
        let program: &mut Xdp = ebpf.program_mut(TRACE_PROGRAM).context("no such program")?.try_into()?;
        program.load().context("the verifier rejects the tracing program")?;
        let maps = TraceMaps::take(&mut ebpf)?;
        Ok((Self { ebpf, program: TRACE_PROGRAM, out: Vec::new() }, maps))
    }

    /// Runs a packet; returns its verdict with the outcome, from the one counter that increased by one.
    ///
    /// # Errors
    /// As [`Kernel::run`]; and when not exactly one counter increased.
    pub fn judge(&mut self, packet: &Packet) -> Result<Judged> {
        let before = maps::refusals(&self.ebpf)?;
        let (action, bytes) = self.run(packet)?;
        let after = maps::refusals(&self.ebpf)?;
        let mut risen = (0u32..).zip(before.iter().zip(&after)).filter(|(_, (b, a))| b != a);
        match (risen.next(), risen.next()) {
            (Some((counter, (b, a))), None) if b + 1 == *a => Ok(Judged { action, bytes, counter }),
            _ => bail!("a packet was not counted exactly once: {before:?} became {after:?}"),
        }
    }

    /// Runs a packet without reading the counters.
    ///
    /// # Errors
    /// When the kernel does not run it, or the program returns an invalid verdict.
    pub fn run(&mut self, packet: &Packet) -> Result<(Action, Vec<u8>)> {
        let program: &Xdp = self.ebpf.program(self.program).context("no such program")?.try_into()?;
        let mut data_in = vec![0; packet.metadata];
        data_in.extend_from_slice(&packet.bytes);
        self.out.resize(data_in.len() + GROWTH, 0);
        let mut options = TestRunOptions::new();
        let context = context(packet);
        options.ctx_in = Some(&context);
        options.data_in = Some(&data_in);
        options.data_out = Some(&mut self.out);
        let result = program.test_run(options).context("BPF_PROG_TEST_RUN")?;
        let bytes = self.out.get(packet.metadata..result.data_size_out as usize).unwrap_or_default();
        let code = result.return_value;
        let action = Action::from_code(code).with_context(|| format!("the program returned {code}"))?;
        Ok((action, bytes.to_vec()))
    }

    /// Measures a run of a program: nanoseconds, including the harness, and its return value. `asks` reads
    /// the packet that this CPU processed last.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn cost(&mut self, program: &str, packet: &Packet, repeat: u32) -> Result<(u64, u32)> {
        let program: &Xdp = self.ebpf.program(program).context("no such program")?.try_into()?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&packet.bytes);
        options.repeat = repeat;
        let result = program.test_run(options).context("BPF_PROG_TEST_RUN")?;
        Ok((result.duration.as_nanos() as u64, result.return_value))
    }

    /// Returns whether this kernel allows an arbitrary linear part of test packets; kernels before 6.18 do
    /// not.
    pub fn splits(&mut self) -> bool {
        self.run(&Packet { linear: 60, ..Packet::new(vec![0; 120]) }).is_ok()
    }

    /// Returns whether this kernel allows so much metadata in front of test packets that no headroom is left;
    /// kernels before 6.4 allow 32 bytes.
    pub fn crowds(&mut self) -> bool {
        self.run(&Packet { metadata: 200, ..Packet::new(vec![0; 60]) }).is_ok()
    }

    /// Returns the state that packets have left in the liveness cells, and in the sets of flows that they
    /// have accessed on the host.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn state(&self, tables: &HostTables) -> Result<State> {
        let sets = tables.touched_flows().into_iter().map(|(set, _)| set);
        maps::state(&self.ebpf, sets, tables.sizes.nodes)
    }

    /// Returns all the state that packets have left.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn whole_state(&self, tables: &HostTables) -> Result<State> {
        maps::state(&self.ebpf, 0..capacity::FLOW_SETS as u32, tables.sizes.nodes)
    }

    /// Empties these sets of flows and the fragment table, and writes the liveness cells of `tables`.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn reset(&mut self, tables: &HostTables, sets: &BTreeSet<u32>) -> Result<()> {
        maps::reset(&mut self.ebpf, tables, sets)
    }

    /// Returns all counters.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn totals(&self) -> Result<Totals> {
        maps::totals(&self.ebpf)
    }
}

/// Returns the `struct xdp_md` of a packet: start of the data and end of the linear part, relative to the
/// metadata, and the interface.
fn context(packet: &Packet) -> [u8; 24] {
    let [data, end] = [packet.metadata, packet.metadata + packet.linear].map(|n| (n as u32).to_ne_bytes());
    let mut context = [0; 24];
    context[..4].copy_from_slice(&data);
    context[4..8].copy_from_slice(&end);
    context[12..16].copy_from_slice(&INGRESS.to_ne_bytes());
    context
}
