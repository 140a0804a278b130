//! The page: one file that loads nothing, readable on a phone, light or dark as the reader's system.

use std::fmt::Write;

use anyhow::Result;

use super::plot::{self, Chart};
use super::{count, goals, head};
use crate::results::print::{GOAL_HEADER, RATIO_HEADER, body, goal_row, header, ratio_row};
use crate::results::{Goal, ResultTable, Results};

/// Nothing may be loaded: the page is the same in ten years and without a network.
const POLICY: &str = include_str!("policy.txt");
const STYLE: &str = include_str!("style.css");

/// Returns the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn page(results: &Results) -> Result<String> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>Fairlead: results of a bench run</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Fairlead: results of a bench run</h1>\n<dl class=\"head\">\n"
    );
    for (name, value) in head(results) {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value));
    }
    page.push_str("</dl>\n<p>Figures are minimum/median/maximum over the rounds of this run.</p>\n");
    write_contents(&mut page, &results.tables);
    write_goals(&mut page, &goals(results));
    for table in &results.tables {
        write_section(&mut page, table, &plot::charts(table)?);
    }
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

fn write_contents(page: &mut String, tables: &[ResultTable]) {
    page.push_str("<nav>");
    for table in tables {
        let id = escaped(&table.id);
        let _ = write!(page, "<a href=\"#{id}\">{id}</a> ");
    }
    page.push_str("</nav>\n");
}

fn write_goals(page: &mut String, goals: &[(&ResultTable, &Goal)]) {
    if goals.is_empty() {
        return;
    }
    let _ = writeln!(page, "<section>\n<h2>Goals: {}</h2>", count(goals));
    let rows = goals.iter().map(|(table, goal)| {
        let class = if goal.is_met(table) { "met" } else { "missed" };
        (class, goal_row(table, goal))
    });
    write_table(page, &GOAL_HEADER, rows, 1);
    page.push_str("</section>\n");
}

fn write_section(page: &mut String, table: &ResultTable, charts: &[Chart]) {
    let (id, title, method) = (escaped(&table.id), escaped(&table.heading()), escaped(&table.method));
    let _ = writeln!(page, "<section id=\"{id}\">\n<h2>{title}</h2>\n<p>{method}</p>");
    if !charts.is_empty() {
        page.push_str("<div class=\"charts\">\n");
        charts.iter().for_each(|chart| write_chart(page, chart));
        page.push_str("</div>\n");
    }
    if table.is_listed() {
        let rows = body(table).into_iter().zip(&table.rows);
        let rows = rows.map(|(cells, row)| (if plot::is_ours(&row.labels) { "ours" } else { "" }, cells));
        write_table(page, &header(table), rows, table.labels.len());
    }
    if !table.ratios.is_empty() {
        let rows = table.ratios.iter().map(|ratio| ("", ratio_row(table, ratio)));
        write_table(page, &RATIO_HEADER, rows, 1);
    }
    page.push_str("</section>\n");
}

fn write_chart(page: &mut String, chart: &Chart) {
    let _ = write!(page, "<figure>\n<figcaption>{}", escaped(&chart.title));
    for (name, color) in &chart.legend {
        let _ = write!(
            page,
            " <span class=\"key\"><span style=\"background:{color}\"></span>{}</span>",
            escaped(name)
        );
    }
    let _ = write!(page, "</figcaption>\n<div class=\"scroll\">{}</div>\n</figure>\n", chart.svg);
}

/// Writes a table whose columns from this one on are right-aligned; each row has a class.
fn write_table(
    page: &mut String,
    header: &[&str],
    rows: impl Iterator<Item = (&'static str, Vec<String>)>,
    right_from: usize,
) {
    let class = |at: usize| if at < right_from { "" } else { " class=\"number\"" };
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for (at, cell) in header.iter().enumerate() {
        let _ = write!(page, "<th scope=\"col\"{}>{}</th>", class(at), escaped(cell));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for (row_class, cells) in rows {
        let _ = write!(page, "<tr class=\"{row_class}\">");
        for (at, cell) in cells.iter().enumerate() {
            let _ = write!(page, "<td{}>{}</td>", class(at), escaped(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
