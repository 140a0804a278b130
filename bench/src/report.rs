//! Reports of results: a page that stands alone, and a summary in Markdown.
//!
//! | module | contents |
//! | --- | --- |
//! | [`html`] | the page: head, goals, tables with their charts |
//! | [`markdown`] | the summary |
//! | [`plot`] | the charts of a table, as SVG |

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::results::{Goal, ResultTable, Results};

pub mod html;
pub mod markdown;
pub mod plot;

/// Writes `report.html` and `report.md` into a directory, and returns their paths.
///
/// # Errors
/// When a chart cannot be drawn or a file cannot be written.
pub fn write(directory: &Path, results: &Results) -> Result<[PathBuf; 2]> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let page = (directory.join("report.html"), html::page(results)?);
    let summary = (directory.join("report.md"), markdown::summary(results));
    for (path, text) in [&page, &summary] {
        fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok([page.0, summary.0])
}

/// Returns what a reader must know of the run before its figures, as names and values.
fn head(results: &Results) -> Vec<(&'static str, String)> {
    let machine = &results.machine;
    let modified = if machine.is_modified { ", with changes that are not committed" } else { "" };
    let length = if results.is_quick { "quick: its figures are less exact" } else { "full" };
    vec![
        ("Processor", format!("{}, {} CPUs", machine.processor, machine.processors)),
        ("Memory", format!("{} MiB", machine.memory)),
        ("Kernel", machine.kernel.clone()),
        ("Commit", format!("{}{modified}", machine.commit)),
        ("Load average", format!("{} before, {} after", machine.load_before(), machine.load_after())),
        ("Begun", results.started.clone()),
        ("Took", minutes(results.seconds)),
        ("Run", length.to_owned()),
    ]
}

/// Returns the goals of all tables, those that were missed first.
fn goals(results: &Results) -> Vec<(&ResultTable, &Goal)> {
    let each = results.tables.iter().flat_map(|table| table.goals.iter().map(move |goal| (table, goal)));
    let mut goals: Vec<_> = each.collect();
    goals.sort_by_key(|(table, goal)| goal.is_met(table));
    goals
}

/// Returns how many goals were met, and how many there are.
fn count(goals: &[(&ResultTable, &Goal)]) -> String {
    let met = goals.iter().filter(|(table, goal)| goal.is_met(table)).count();
    format!("{met} of {} met", goals.len())
}

fn minutes(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

#[cfg(test)]
mod tests;
