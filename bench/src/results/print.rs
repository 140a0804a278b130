//! Tables for a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::{FigureUnit, Goal, GoalSubject, ResultRow, ResultTable, RoundRatio, format};

/// Stands for a figure that a row does not have.
const ABSENT: &str = "-";

/// Prints tables to standard output.
pub fn print(tables: &[ResultTable]) {
    for table in tables {
        println!("{}", text(table));
    }
}

/// Formats a table with its ratios and goals below it.
#[must_use]
pub fn text(table: &ResultTable) -> String {
    let mut text = format!("{}\n", table.heading());
    if table.is_listed() {
        text.push_str(&format!("\n{}\n", aligned(&header(table), &body(table), table.labels.len())));
    }
    if !table.ratios.is_empty() {
        let rows = table.ratios.iter().map(|ratio| ratio_row(table, ratio)).collect::<Vec<_>>();
        text.push_str(&format!("\n{}\n", aligned(&RATIO_HEADER, &rows, 1)));
    }
    if !table.goals.is_empty() {
        let rows = table.goals.iter().map(|goal| goal_row(table, goal)).collect::<Vec<_>>();
        text.push_str(&format!("\n{}\n", aligned(&GOAL_HEADER, &rows, 1)));
    }
    if !table.method.is_empty() {
        text.push_str(&format!("\n{}\n", table.method));
    }
    text
}

/// Header of the table of ratios.
pub(crate) const RATIO_HEADER: [&str; 2] = ["ratio", "min/median/max"];

/// Header of the table of goals.
pub(crate) const GOAL_HEADER: [&str; 4] = ["goal", "limit", "min/median/max", ""];

/// Returns the header of a table: its labels and figures.
pub(crate) fn header(table: &ResultTable) -> Vec<&str> {
    table.labels.iter().map(String::as_str).chain(table.figure_names()).collect()
}

/// Returns the cells of a table, a row each.
pub(crate) fn body(table: &ResultTable) -> Vec<Vec<String>> {
    let names = table.figure_names();
    let cells = |row: &ResultRow| {
        let figures = names.iter().map(|name| figure(row, name));
        row.labels.iter().cloned().chain(figures).collect()
    };
    table.rows.iter().map(cells).collect()
}

fn figure(row: &ResultRow, name: &str) -> String {
    let spread = row.figure(name).and_then(|figure| Some((figure.unit, figure.spread()?)));
    spread.map_or_else(|| ABSENT.to_owned(), |(unit, spread)| format::spread(unit, &spread))
}

/// Returns the cells of a ratio.
pub(crate) fn ratio_row(table: &ResultTable, ratio: &RoundRatio) -> Vec<String> {
    let measured = table.ratio(ratio);
    let cell = measured.map_or_else(
        || ABSENT.to_owned(),
        |spread| format!("{} ×", format::spread(FigureUnit::Number, &spread)),
    );
    vec![ratio_words(ratio), cell]
}

/// Returns what a ratio is of.
pub(crate) fn ratio_words(ratio: &RoundRatio) -> String {
    format!("{} ({}: {} ÷ {})", ratio.name, ratio.figure, ratio.of.join(" "), ratio.to.join(" "))
}

/// Returns the cells of a goal.
pub(crate) fn goal_row(table: &ResultTable, goal: &Goal) -> Vec<String> {
    let unit = goal_unit(table, goal);
    let measured = goal.measured(table);
    vec![
        goal.name.clone(),
        format::bound(unit, goal.bound),
        measured.map_or_else(|| "not measured".to_owned(), |spread| format::spread(unit, &spread)),
        if goal.is_met(table) { "met" } else { "NOT MET" }.to_owned(),
    ]
}

/// Returns the unit of what a goal limits.
pub(crate) fn goal_unit(table: &ResultTable, goal: &Goal) -> FigureUnit {
    match &goal.subject {
        GoalSubject::Figure { row, figure } => {
            let figure = table.row(row).and_then(|row| row.figure(figure));
            figure.map_or(FigureUnit::Number, |figure| figure.unit)
        }
        GoalSubject::Ratio(_) => FigureUnit::Number,
    }
}

/// Formats rows as an aligned table, whose columns from this one on are right-aligned.
#[must_use]
pub fn aligned(header: &[&str], rows: &[Vec<String>], right_from: usize) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header.iter().copied());
    table.add_rows(rows.iter().cloned());
    for column in table.column_iter_mut().skip(right_from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::results::{Bound, FigureUnit, Goal, GoalSubject, ResultTable, RoundRatio};

    #[test]
    fn ratios_and_goals_stand_below_the_table() {
        let mut table = ResultTable {
            id: "latency".to_owned(),
            title: "HTTP".to_owned(),
            labels: vec!["contender".to_owned()],
            ..ResultTable::default()
        };
        for (one, other) in [(1e-3, 2e-3), (2e-3, 4e-3)] {
            table.row_mut(&["one"]).push("p50", FigureUnit::Seconds, one);
            table.row_mut(&["other"]).push("p50", FigureUnit::Seconds, other);
        }
        table.row_mut(&["other"]).push("p99", FigureUnit::Seconds, 0.25);
        let ratio = RoundRatio {
            name: "half".to_owned(),
            figure: "p50".to_owned(),
            of: vec!["one".to_owned()],
            to: vec!["other".to_owned()],
        };
        table.ratios = vec![ratio];
        let row = vec!["other".to_owned()];
        let subject = GoalSubject::Figure { row, figure: "p99".to_owned() };
        table.goals = vec![Goal { name: "fast".to_owned(), subject, bound: Bound::AtMost(0.2) }];
        let text = text(&table);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(lines.contains(&vec!["one", "1/1.5/2", "ms", "-"]), "{text}");
        assert!(lines.contains(&vec!["other", "2/3/4", "ms", "250", "ms"]), "{text}");
        assert!(lines.contains(&vec!["half", "(p50:", "one", "÷", "other)", "0.5", "×"]), "{text}");
        assert!(text.contains("at most 200 ms") && text.contains("NOT MET"), "{text}");
    }
}
