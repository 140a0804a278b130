//! The subcommand `fairlead doctor`.

use aya::maps::{Map, MapData, MapType};
use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::common::PinArgs;
use lb_dataplane::attach::{self, AttachError, MapSizes};
use lb_dataplane::kernel_lookup::{self, KernelLookup};
use lb_dataplane::net::link::{self, DeviceKind};
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT, PROGRAM};
use lb_dataplane::pins::Pins;
use lb_dataplane::preflight::{self, PreflightError};

/// The arguments of `fairlead doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Uplink to check. Can be repeated.
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,
    /// Describe only the XDP program: its maps and the verifier's work. The program is loaded, not attached.
    #[arg(long)]
    object: bool,
    #[command(flatten)]
    pins: PinArgs,
}

/// The reason why this node cannot run the agent, or why the program cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The binary was built without the XDP program.
    #[error(transparent)]
    NoProgram(PreflightError),
    /// Checks failed; they have been printed.
    #[error(
        "this node cannot run `fairlead agent`: {0} of the checks failed, see the lines that begin with \"failed\""
    )]
    Failed(usize),
    /// The kernel refuses the program.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Information about the loaded program is not available.
    #[error("cannot read information about the loaded program: {0}")]
    Info(String),
}

/// Small map sizes: the doctor needs no rings and no flows.
const SIZES: MapSizes = MapSizes { ring_slots: 4096, flow_sets: 64 };

/// Checks this node and describes the program.
///
/// # Errors
/// When a check fails; all failed checks are printed before.
pub fn run(args: &DoctorArgs) -> Result<(), DoctorError> {
    if args.object {
        return object();
    }
    let mut failed: Vec<String> = preflight::all(&args.interfaces, &Pins::below(&args.pins.bpffs))
        .iter()
        .map(ToString::to_string)
        .collect();
    // Load the program only if its preconditions hold: a failure would repeat the reason.
    let is_loadable = || preflight::object().and(preflight::kernel()).and(preflight::capabilities());
    if is_loadable().is_ok() {
        failed.extend(show_object().err().map(|error| error.to_string()));
    }
    args.interfaces.iter().for_each(|name| show_uplink(name));
    failed.iter().for_each(|reason| println!("failed  {reason}"));
    if failed.is_empty() {
        println!("this node can run `fairlead agent`");
        Ok(())
    } else {
        Err(DoctorError::Failed(failed.len()))
    }
}

/// Describes only the program.
fn object() -> Result<(), DoctorError> {
    preflight::object().map_err(DoctorError::NoProgram)?;
    println!("XDP object: {} bytes", OBJECT.len());
    if preflight::capabilities().is_err() {
        println!("not loaded, which requires CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
        return Ok(());
    }
    show_object()
}

/// Prints what affects how the program would run on an uplink.
fn show_uplink(name: &str) {
    let Some(device) = link::by_name_blocking(name) else { return };
    if device.kind == DeviceKind::Veth {
        println!(
            "{name} is a veth: the program runs in generic mode. --xdp-mode native requires XDP or GRO at the peer: without \
             it, packets that the program sends are lost, and other nodes consider this node dead"
        );
    }
    if let Some(program) = device.program {
        println!(
            "{name} already has XDP program {}: the agent takes over only a program of Fairlead",
            program.id
        );
    }
}

/// Loads the program and prints its lookups, sizes and maps.
fn show_object() -> Result<(), DoctorError> {
    let prepared = kernel_lookup::prepare(KernelLookup::Auto);
    println!("kernel lookups: {}", prepared.lookups);
    let mut ebpf = attach::load_object(&prepared.object, None, SIZES).map_err(AttachError::Maps)?;
    let mut programs = table(["program", "instructions", "bytes", "verified instructions"]);
    for name in [PROGRAM, EMPTY_PROGRAM] {
        let program = attach::loaded_program(&mut ebpf, name)?;
        let info = program.info().map_err(|e| DoctorError::Info(e.to_string()))?;
        let shown = |number: Option<u32>| number.map_or_else(|| "?".into(), |n| n.to_string());
        programs.add_row([
            name.to_owned(),
            shown(info.size_translated().map(|bytes| bytes / 8)),
            shown(info.size_translated()),
            shown(info.verified_instruction_count()),
        ]);
    }
    println!("{programs}\n");
    let mut maps = table(["map", "type", "key bytes", "value bytes", "entries"]);
    let mut rows: Vec<_> = ebpf.maps().filter_map(|(name, map)| row(name, map)).collect();
    rows.sort();
    for row in rows {
        maps.add_row(row);
    }
    println!("{maps}");
    Ok(())
}

fn row(name: &str, map: &Map) -> Option<[String; 5]> {
    let data: &MapData = match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data) => data,
        _ => return None,
    };
    let info = data.info().ok()?;
    let kind = match info.map_type().ok()? {
        MapType::Array => "array",
        MapType::Hash => "hash",
        MapType::LruHash => "LRU hash",
        MapType::LpmTrie => "LPM trie",
        MapType::PerCpuArray => "per-CPU array",
        _ => "other",
    };
    Some([
        name.to_owned(),
        kind.to_owned(),
        info.key_size().to_string(),
        info.value_size().to_string(),
        info.max_entries().to_string(),
    ])
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
