//! The objects with a harness: loading, and filling their maps.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use aya::maps::Array;
use aya::{Ebpf, EbpfLoader};
use fairlead_tests::kernel::load_tracing;
use fairlead_tests::model::HostTables;
use lb_common::flows::{FlowEntry, FlowKey, FlowState};
use lb_common::hash::{FlowPorts, flow_hash_v4, flow_hash_v6};
use lb_common::trace::RING_BYTES;
use lb_dataplane::object;
use lb_pipeline::tables::Tables;

use super::case::SOURCE_PORT;
use super::case::{Case, Program};
use super::kinds;
use super::{cluster, others};

/// Bytes of the template in the harness's plan.
const TEMPLATE: usize = 96;
/// Bytes of the template that a small packet has.
const SMALL: usize = 56;
/// The plan's memory layout: template, then ten words.
type Plan = [u8; TEMPLATE + 10 * 4];

/// The product's program under the harness.
const HARNESS_OBJECT: &str = "fairlead-bench";
/// The reference and the floor.
pub const REFERENCE_OBJECT: &str = "fairlead-reference";

/// Reads an object with a harness: a development file that is embedded in no binary.
///
/// # Errors
/// When it is not built.
pub fn read(name: &str) -> Result<Vec<u8>> {
    let directory =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/bpfel-unknown-none/release");
    let path = match std::env::var_os("FAIRLEAD_BENCH_OBJECT").filter(|_| name == HARNESS_OBJECT) {
        Some(path) => PathBuf::from(path),
        None => directory.join(name),
    };
    fs::read(&path).with_context(|| format!("read {}: run `cargo xtask build-ebpf` first", path.display()))
}

/// Loads the object with the program of a case and fills its maps; `tables` are those of the product.
///
/// # Errors
/// When the object is not built, or the kernel refuses a map or an entry.
pub fn load(case: &Case, tables: &HostTables) -> Result<Ebpf> {
    match case.kind.program {
        Program::Nothing => load_product(case, tables, object::OBJECT),
        Program::Harness | Program::Judged | Program::Traced(_) => {
            load_product(case, tables, &read(HARNESS_OBJECT)?)
        }
        Program::Reference | Program::Floor | Program::Bounce => load_other(case),
    }
}

/// Returns the name of the program of a case.
pub const fn program_name(case: &Case) -> &'static str {
    match case.kind.program {
        Program::Nothing => object::EMPTY_PROGRAM,
        Program::Harness => "harness",
        Program::Judged => "judged",
        Program::Traced(_) => "traced",
        Program::Reference => "reference",
        Program::Floor => "least",
        Program::Bounce => "bounce",
    }
}

/// Configures the harness: the packets to derive from a frame, and how much the program lengthens them.
///
/// # Errors
/// When the frame is shorter than the template, or the object has no plan.
pub fn write_plan(ebpf: &mut Ebpf, case: &Case, frame: &[u8], growth: i32) -> Result<()> {
    let is_small = frame.len() < TEMPLATE;
    let used = if is_small { SMALL } else { TEMPLATE };
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
        u32::from(is_small),
        0,
    ];
    let mut plan: Plan = [0; _];
    plan[..used].copy_from_slice(frame.get(..used).context("a frame shorter than the template")?);
    for (bytes, word) in plan[TEMPLATE..].chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    let mut plans: Array<_, Plan> = ebpf.map_mut("bench_plan").context("no plan")?.try_into()?;
    plans.set(0, plan, 0).context("write to bench_plan")
}

/// Loads the product's program, or the harness around it, with the maps of the cluster.
fn load_product(case: &Case, tables: &HostTables, object: &[u8]) -> Result<Ebpf> {
    if case.kind.known {
        know_flows(tables, case);
    }
    load_tracing(tables, object, RING_BYTES)
}

/// Loads the reference and the floor, with their maps.
fn load_other(case: &Case) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    for (map, entries) in others::sizes(case) {
        loader.map_max_entries(map, entries);
    }
    let mut ebpf = loader.load(&read(REFERENCE_OBJECT)?).context("load the object (needs root)")?;
    others::fill(&mut ebpf, case)?;
    Ok(ebpf)
}

/// Records every flow of a case as this node's own.
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
        let entry = FlowEntry { node: cluster::SELF, state: FlowState::Open, age: 0 };
        let key = FlowKey::of(hash);
        if let Some(set) = tables.flow_set(key.set) {
            set.put(key.tag, entry);
        }
    }
}
