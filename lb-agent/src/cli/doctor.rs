//! The subcommand `fairlead doctor`.

mod host;
mod reboot;

use std::fmt::Write;
use std::process::ExitCode;

use aya::maps::{Map, MapData, MapType};
use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::common::PinArgs;
use super::output::{self, OutputError, OutputFormat};
use crate::admin;
use lb_client::common::SocketArgs;
use lb_dataplane::attach::{self, AttachError, MapSizes};
use lb_dataplane::kernel_lookup::{self, KernelLookup, LookupSupport, PreparedObject};
use lb_dataplane::net::uplinks;
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT, PROGRAM};
use lb_dataplane::pins::Pins;
use lb_dataplane::preflight::{self, PreflightError};
use lb_explain::doctor::{self, Check, CheckState};
use serde::Serialize;

/// The arguments of `fairlead doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Uplink to check. Can be repeated. By default, the interfaces of the default routes are checked.
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,
    /// Describe only the XDP program: its maps and the verifier's work. The program is loaded, not attached.
    #[arg(long)]
    object: bool,
    /// Ask the agent whether a node, by default this one, may be rebooted: whether another node announces,
    /// advertises and serves every address. Exit codes: 0: yes; 1: no; 2: the agent cannot be asked.
    #[arg(long, value_name = "NODE", num_args = 0..=1, default_missing_value = "", conflicts_with = "object")]
    reboot_safe: Option<String>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: OutputFormat,
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    socket: SocketArgs,
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
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Small map sizes: the doctor needs no rings and no flows.
const SIZES: MapSizes = MapSizes { ring_slots: 4096, flow_sets: 64 };

/// The result of all checks.
#[derive(Debug, Serialize)]
struct Findings {
    /// Whether this node can run the agent.
    fit: bool,
    /// The checks, those that failed first.
    checks: Vec<Check>,
}

/// Checks this node and describes the program, or asks the agent whether a node may be rebooted.
///
/// # Errors
/// When a check fails; all checks are printed before.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, DoctorError> {
    if let Some(node) = &args.reboot_safe {
        return Ok(reboot::run(&args.socket.socket, node, args.output)?);
    }
    if args.object {
        return object().map(|()| ExitCode::SUCCESS);
    }
    let mut refused: Vec<String> = preflight::all(&args.interfaces, &Pins::below(&args.pins.bpffs))
        .iter()
        .map(ToString::to_string)
        .collect();
    // Load the program only if its preconditions hold: a failure would repeat the reason.
    let is_loadable = preflight::object().and(preflight::kernel()).and(preflight::capabilities()).is_ok();
    let prepared = is_loadable.then(|| kernel_lookup::prepare(KernelLookup::Auto));
    let described = prepared.as_ref().map(describe);
    refused.extend(described.as_ref().and_then(|it| it.as_ref().err()).map(ToString::to_string));
    let findings = findings(args, refused, prepared.as_ref().map(|it| &it.lookups));
    let text = match args.output.document(&findings)? {
        Some(document) => document,
        None => described.and_then(Result::ok).unwrap_or_default() + &render(&findings),
    };
    output::print(&text)?;
    match findings.checks.iter().filter(|check| check.state == CheckState::Failed).count() {
        0 => Ok(ExitCode::SUCCESS),
        failed => Err(DoctorError::Failed(failed)),
    }
}

fn findings(args: &DoctorArgs, refused: Vec<String>, lookups: Option<&LookupSupport>) -> Findings {
    let interfaces = if args.interfaces.is_empty() { default_uplinks() } else { args.interfaces.clone() };
    let missing = lookups.filter(|it| **it != LookupSupport::default()).map(ToString::to_string);
    let is_agent_running = admin::is_served(&args.socket.socket);
    let checks = doctor::checks(&host::facts(&interfaces, refused, missing, is_agent_running));
    Findings { fit: checks.iter().all(|check| check.state != CheckState::Failed), checks }
}

/// Returns the uplinks that an agent would detect; none if the routes cannot be read.
fn default_uplinks() -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.ok().and_then(|runtime| runtime.block_on(uplinks::of_default_routes()).ok()).unwrap_or_default()
}

fn render(findings: &Findings) -> String {
    let mut screen = String::new();
    for Check { name, state, fact, run } in &findings.checks {
        let word = match state {
            CheckState::Ok => "ok",
            CheckState::Warning => "warning",
            CheckState::Failed => "failed",
        };
        let _ = writeln!(screen, "{word:<7} {name}: {fact}");
        if let Some(run) = run {
            let _ = writeln!(screen, "        run: {run}");
        }
    }
    if findings.fit {
        screen.push_str("this node can run `fairlead agent`\n");
    }
    screen
}

/// Describes only the program.
fn object() -> Result<(), DoctorError> {
    preflight::object().map_err(DoctorError::NoProgram)?;
    println!("XDP object: {} bytes", OBJECT.len());
    if preflight::capabilities().is_err() {
        println!("not loaded, which requires CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
        return Ok(());
    }
    let text = describe(&kernel_lookup::prepare(KernelLookup::Auto))?;
    Ok(output::print(&text)?)
}

/// Loads the program and describes its lookups, sizes and maps.
fn describe(prepared: &PreparedObject) -> Result<String, DoctorError> {
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
    let mut maps = table(["map", "type", "key bytes", "value bytes", "entries"]);
    let mut rows: Vec<_> = ebpf.maps().filter_map(|(name, map)| row(name, map)).collect();
    rows.sort();
    for row in rows {
        maps.add_row(row);
    }
    Ok(format!("kernel lookups: {}\n{programs}\n\n{maps}\n\n", prepared.lookups))
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
