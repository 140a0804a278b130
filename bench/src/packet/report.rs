//! The table of what was measured, for people and as JSON.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::cases::{LARGEST, Program};
use super::measure::Prepared;

/// One line of the report; nanoseconds a packet.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Line {
    /// Kind of packet.
    pub case: &'static str,
    /// Flows that took turns.
    pub flows: u32,
    /// VIPs that they were for.
    pub vips: u16,
    /// Rings that these VIPs had.
    pub rings: u16,
    /// The fastest round, harness included.
    pub minimum: u64,
    /// The middle round, harness included.
    pub median: u64,
    /// The fastest round without what the harness adds to an empty program.
    pub program: u64,
    /// That, as a multiple of an empty program.
    pub ratio: f64,
    /// What it is meant not to pass.
    pub goal: Option<u32>,
}

/// The lines of these cases. What the harness adds to an empty program is taken off all that run in it.
pub fn lines(prepared: &[Prepared]) -> Vec<Line> {
    let least = |program| {
        let of_program = prepared.iter().filter(|p| p.case.kind.program == program);
        of_program.map(Prepared::minimum).min().unwrap_or_default()
    };
    let (nothing, harness) = (least(Program::Nothing), least(Program::Harness));
    prepared
        .iter()
        .map(|p| {
            let added =
                if p.case.kind.program == Program::Nothing { 0 } else { harness - nothing.min(harness) };
            let program = p.minimum().saturating_sub(added);
            let largest = p.case.flows == LARGEST.0 && p.case.vips == LARGEST.1;
            Line {
                case: p.case.kind.name,
                flows: p.case.flows,
                vips: p.case.vips,
                rings: p.case.rings,
                minimum: p.minimum(),
                median: p.median(),
                program,
                ratio: program as f64 / nothing as f64,
                goal: p.case.kind.goal.filter(|_| largest),
            }
        })
        .collect()
}

/// The lines as an aligned table.
pub fn table(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "case",
        "flows",
        "VIPs",
        "rings",
        "min ns",
        "median ns",
        "program ns",
        "× empty",
        "goal ns",
    ]);
    for line in lines {
        table.add_row([
            line.case.to_owned(),
            line.flows.to_string(),
            line.vips.to_string(),
            line.rings.to_string(),
            line.minimum.to_string(),
            line.median.to_string(),
            line.program.to_string(),
            format!("{:.1}", line.ratio),
            line.goal.map(|goal| format!("≤ {goal}")).unwrap_or_default(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
