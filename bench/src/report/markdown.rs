//! The summary in Markdown.

use std::fmt::Write;

use super::{count, goals, head};
use crate::results::print::{GOAL_HEADER, RATIO_HEADER, body, goal_row, header, ratio_row};
use crate::results::{ResultTable, Results};

/// Returns the summary.
#[must_use]
pub fn summary(results: &Results) -> String {
    let mut text = String::from("# Fairlead: results of a bench run\n\n");
    for (name, value) in head(results) {
        let _ = writeln!(text, "- {name}: {value}");
    }
    text.push_str("\nFigures are minimum/median/maximum over the rounds of this run.\n");
    let goals = goals(results);
    if !goals.is_empty() {
        let _ = writeln!(text, "\n## Goals: {}\n", count(&goals));
        let rows = goals.iter().map(|(table, goal)| goal_row(table, goal)).collect::<Vec<_>>();
        write_table(&mut text, &GOAL_HEADER, &rows, 1);
    }
    for table in &results.tables {
        write_section(&mut text, table);
    }
    text
}

fn write_section(text: &mut String, table: &ResultTable) {
    let _ = writeln!(text, "\n## {}\n\n{}", table.heading(), table.method);
    if table.is_listed() {
        text.push('\n');
        write_table(text, &header(table), &body(table), table.labels.len());
    }
    if !table.ratios.is_empty() {
        text.push('\n');
        let rows = table.ratios.iter().map(|ratio| ratio_row(table, ratio)).collect::<Vec<_>>();
        write_table(text, &RATIO_HEADER, &rows, 1);
    }
}

/// Writes a table whose columns from this one on are right-aligned.
fn write_table(text: &mut String, header: &[&str], rows: &[Vec<String>], right_from: usize) {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    text.push_str(&line(header.iter().map(|cell| escaped(cell)).collect()));
    let rule = |at: usize| if at < right_from { "---" } else { "---:" }.to_owned();
    text.push_str(&line((0..header.len()).map(rule).collect()));
    for row in rows {
        text.push_str(&line(row.iter().map(|cell| escaped(cell)).collect()));
    }
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|")
}
