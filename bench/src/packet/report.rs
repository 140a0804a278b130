//! The table of what was measured, for people and as JSON.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::cases::{Program, Size};
use super::goals::Judgement;
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
    /// The fastest round without the fastest of the harness alone.
    pub net_minimum: u64,
    /// The middle round without the middle one of the harness alone.
    pub net_median: u64,
    /// What it costs beside the reference: of misses beside its misses, of all else beside a flow in its LRU.
    pub to_reference: Option<Ratio>,
    /// What it costs beside the floor.
    pub to_floor: Option<Ratio>,
}

/// How many times one case costs what another one does, without the harness.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Ratio {
    /// Of the fastest rounds.
    pub minimum: f64,
    /// Of the middle rounds.
    pub median: f64,
}

/// All that was measured.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// A line for each case.
    pub lines: Vec<Line>,
    /// A judgement for each goal whose cases were measured.
    pub goals: Vec<Judgement>,
}

impl Line {
    /// A line of the fastest and the middle round, and of those of the harness alone.
    pub fn new(case: &'static str, size: Size, harness: [u64; 2], [minimum, median]: [u64; 2]) -> Self {
        let Size { flows, vips, rings } = size;
        let [net_minimum, net_median] =
            [minimum.saturating_sub(harness[0]), median.saturating_sub(harness[1])];
        let (to_reference, to_floor) = (None, None);
        Self { case, flows, vips, rings, minimum, median, net_minimum, net_median, to_reference, to_floor }
    }

    /// Flows, VIPs and rings.
    pub const fn size(&self) -> Size {
        Size { flows: self.flows, vips: self.vips, rings: self.rings }
    }

    /// What this case costs beside another one; `None` where that one costs nothing that can be measured.
    pub fn ratio_to(&self, other: &Self) -> Option<Ratio> {
        if other.net_minimum == 0 || other.net_median == 0 {
            return None;
        }
        let ratio = |one, other| one as f64 / other as f64;
        Some(Ratio {
            minimum: ratio(self.net_minimum, other.net_minimum),
            median: ratio(self.net_median, other.net_median),
        })
    }
}

/// The lines of these cases. What the harness costs is taken off all that run in it.
pub fn lines(prepared: &[Prepared]) -> Vec<Line> {
    let least = |cost: fn(&Prepared) -> u64| {
        let harness = prepared.iter().filter(|p| p.case.kind.program == Program::Harness);
        harness.map(cost).min().unwrap_or_default()
    };
    let harness = [least(Prepared::minimum), least(Prepared::median)];
    let mut lines: Vec<Line> = prepared
        .iter()
        .map(|p| Line::new(p.case.kind.name, p.case.size, harness, [p.minimum(), p.median()]))
        .collect();
    let measured = lines.clone();
    for (line, prepared) in lines.iter_mut().zip(prepared) {
        if matches!(prepared.case.kind.program, Program::Nothing | Program::Harness) {
            continue;
        }
        let is_miss = line.case.contains("miss");
        let reference = if is_miss { "reference, miss" } else { "reference" };
        line.to_reference = beside(&measured, line, reference);
        line.to_floor = beside(&measured, line, "floor").filter(|_| !is_miss);
    }
    lines
}

/// The ratio to a case of the same size, or where there is none of that size, of the usual one.
fn beside(lines: &[Line], line: &Line, name: &str) -> Option<Ratio> {
    let of_size = |size| lines.iter().find(|other| other.case == name && other.size() == size);
    line.ratio_to(of_size(line.size()).or_else(|| of_size(Size::MANY))?)
}

/// The lines as an aligned table.
pub fn table(lines: &[Line]) -> Table {
    let mut table = aligned();
    table.set_header(["case", "flows", "VIPs", "rings", "ns min", "median", "÷ reference", "÷ floor"]);
    for line in lines {
        let ratio = |ratio: Option<Ratio>| ratio.map(words).unwrap_or_default();
        table.add_row([
            line.case.to_owned(),
            line.flows.to_string(),
            line.vips.to_string(),
            line.rings.to_string(),
            line.net_minimum.to_string(),
            line.net_median.to_string(),
            ratio(line.to_reference),
            ratio(line.to_floor),
        ]);
    }
    align_right(&mut table, 1);
    table
}

/// The goals as an aligned table.
pub fn goals(judgements: &[Judgement]) -> Table {
    let mut table = aligned();
    table.set_header(["goal", "beside", "at most", "ratio", ""]);
    for judgement in judgements {
        table.add_row([
            judgement.case.clone(),
            judgement.beside.clone(),
            format!("{} ×", judgement.most),
            words(judgement.ratio),
            if judgement.met { "met" } else { "not met" }.to_owned(),
        ]);
    }
    align_right(&mut table, 2);
    table
}

fn words(ratio: Ratio) -> String {
    format!("{:.2} / {:.2}", ratio.minimum, ratio.median)
}

fn aligned() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

fn align_right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
