//! `fairlead doctor`.

use aya::maps::{Map, MapData, MapType};
use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::PinArgs;
use lb_dataplane::attach::{self, AttachError, MapSizes};
use lb_dataplane::kernel_lookup::{self, KernelLookup};
use lb_dataplane::net::link::{self, DeviceKind};
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT, PROGRAM};
use lb_dataplane::pins::Pins;
use lb_dataplane::preflight::{self, PreflightError};

/// Arguments of `fairlead doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Uplinks that the agent would be given.
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,
    /// Only the XDP program: its maps, and what the verifier had to do. It is loaded and not attached.
    #[arg(long)]
    object: bool,
    #[command(flatten)]
    pins: PinArgs,
}

/// Why this machine is not fit, or the program not loadable.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The binary has no program.
    #[error(transparent)]
    NoProgram(PreflightError),
    /// Not fit, for reasons that have been listed.
    #[error("this machine is not fit for `fairlead agent`: see the {0} lines that begin with \"unfit\"")]
    Unfit(usize),
    /// The kernel refuses the program.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The kernel refuses to say what it loaded.
    #[error("the kernel does not say what it loaded: {0}")]
    Info(String),
}

/// Sizes to load with: the doctor needs no rings and no flows.
const FEW: MapSizes = MapSizes { ring_slots: 4096, flow_sets: 64 };

/// Checks the machine and shows the program.
///
/// # Errors
/// When anything is wrong; all that is wrong is listed before.
pub fn run(args: &DoctorArgs) -> Result<(), DoctorError> {
    if args.object {
        return object();
    }
    let mut unfit: Vec<String> = preflight::all(&args.interfaces, &Pins::below(&args.pins.bpffs))
        .iter()
        .map(ToString::to_string)
        .collect();
    // What cannot be loaded anyway is not tried: the reason would be told twice.
    let is_loadable = || preflight::object().and(preflight::kernel()).and(preflight::capabilities());
    if is_loadable().is_ok() {
        unfit.extend(show_object().err().map(|error| error.to_string()));
    }
    args.interfaces.iter().for_each(|name| show_uplink(name));
    unfit.iter().for_each(|reason| println!("unfit  {reason}"));
    if unfit.is_empty() {
        println!("fit for `fairlead agent`");
        Ok(())
    } else {
        Err(DoctorError::Unfit(unfit.len()))
    }
}

/// Shows the program alone.
fn object() -> Result<(), DoctorError> {
    preflight::object().map_err(DoctorError::NoProgram)?;
    println!("XDP object: {} bytes", OBJECT.len());
    if preflight::capabilities().is_err() {
        println!("not loaded for a closer look: that takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
        return Ok(());
    }
    show_object()
}

/// What makes a difference to how the program would run on an uplink.
fn show_uplink(name: &str) {
    let Some(device) = link::by_name_blocking(name) else { return };
    if device.kind == DeviceKind::Veth {
        println!(
            "{name} is a veth: the program runs in the stack. --xdp-mode native needs an XDP program or GRO at its other end: without, what the program sends is lost, and other nodes take this one for dead"
        );
    }
    if let Some(program) = device.program {
        println!(
            "{name} has XDP program {}: one of another Fairlead is taken over, others are not",
            program.id
        );
    }
}

/// Loads the program and shows what it is made of.
fn show_object() -> Result<(), DoctorError> {
    let prepared = kernel_lookup::prepare(KernelLookup::Auto);
    println!("asks the kernel for connections: {}", prepared.lookups);
    let mut ebpf = attach::load_object(&prepared.object, None, FEW).map_err(AttachError::Maps)?;
    let mut programs = table(["program", "instructions", "bytes", "verifier processed"]);
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
