//! The report of the measurement, as tables.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::case::{CaseSize, Program};
use super::goals::Judgement;
use super::kinds::LiveVerdict;
use super::line::{Line, Ratio};
use super::live::LiveLine;
use super::measure::Prepared;
use super::sizes::{FunctionLine, SizeLine};

/// Returns the lines of these cases, without the cost of the harness for those that run in it.
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

/// Returns the ratio to a case of the same size, or of the usual one if there is none.
fn beside(lines: &[Line], line: &Line, name: &str) -> Option<Ratio> {
    let of_size = |size| lines.iter().find(|other| other.case == name && other.size() == size);
    line.ratio_to(of_size(line.size()).or_else(|| of_size(CaseSize::MANY))?)
}

/// Formats the lines as an aligned table.
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

/// Formats the goals as an aligned table.
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

/// Formats live frames as an aligned table. The first line of each verdict is the baseline of the others.
pub fn live(lines: &[LiveLine]) -> Table {
    let mut table = aligned();
    table.set_header(["live frames", "program", "Mpps max", "median", "÷ nothing", "arrived"]);
    for line in lines {
        // Forwarding is compared with transmission: both are the same to the driver.
        let way =
            if line.way == LiveVerdict::Forward.name() { LiveVerdict::Transmit.name() } else { line.way };
        let least = lines.iter().find(|other| other.way == way).unwrap_or(line).rates();
        let [maximum, median] = line.rates();
        table.add_row([
            line.way.to_owned(),
            line.case.to_owned(),
            format!("{maximum:.2}"),
            format!("{median:.2}"),
            words(Ratio { minimum: maximum / least[0], median: median / least[1] }),
            format!("{:.1} %", line.arrived as f64 / 10.0),
        ]);
    }
    align_right(&mut table, 2);
    table
}

/// Formats sizes as an aligned table.
pub fn sizes(lines: &[SizeLine]) -> Table {
    let mut table = aligned();
    table.set_header(["program", "BPF bytes", "machine code bytes", "verified instructions", "load ms"]);
    for line in lines {
        table.add_row([
            line.program.to_owned(),
            line.translated.to_string(),
            line.machine_code.to_string(),
            line.verified.to_string(),
            format!("{:.1}", line.load_ms),
        ]);
    }
    align_right(&mut table, 1);
    table
}

/// Formats functions as an aligned table.
pub fn functions(lines: &[FunctionLine]) -> Table {
    let mut table = aligned();
    table.set_header(["function of Fairlead's object", "instructions"]);
    for line in lines {
        table.add_row([shortened(&line.function), line.instructions.to_string()]);
    }
    align_right(&mut table, 1);
    table
}

/// Shortens the name of a function; compiler-generated ones are longer than a line.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 60;
    name.get(..LONGEST).map_or_else(|| name.to_owned(), |head| format!("{head}…"))
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
