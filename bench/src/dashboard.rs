//! The dashboard as a picture, without Grafana: the queries of its panels are run against a lab's Prometheus,
//! and the results drawn as SVG.

mod canvas;
mod chart;
mod format;
mod page;

use std::collections::BTreeMap;

use anyhow::Result;
use fairlead_deploy::dashboard::{Panel, PanelKind, PanelRow, rows};
use fairlead_tests::monitoring::PrometheusServer;

pub use self::page::svg;

/// The range of Grafana's `$__rate_interval`: some scrapes of a second each.
const RATE_INTERVAL: &str = "10s";

/// The time that is drawn, in seconds since 1970.
#[derive(Clone, Debug)]
pub struct TimeSpan {
    /// Its start.
    pub start: f64,
    /// Its end.
    pub end: f64,
    /// Events in it, with their names.
    pub events: Vec<(f64, &'static str)>,
}

/// A row of panels with their data.
#[derive(Debug)]
pub struct FilledRow {
    title: &'static str,
    panels: Vec<FilledPanel>,
}

/// A panel with its data.
#[derive(Debug)]
struct FilledPanel {
    panel: Panel,
    lines: Vec<Line>,
}

/// A line: its name, and points as seconds since the start and values.
#[derive(Debug)]
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Runs all queries.
///
/// # Errors
/// When Prometheus rejects one.
pub fn fill(prometheus: &PrometheusServer, span: &TimeSpan) -> Result<Vec<FilledRow>> {
    let fill_row = |row: PanelRow| {
        let panels = row.panels.into_iter().map(|panel| fill_panel(prometheus, span, panel));
        Ok(FilledRow { title: row.title, panels: panels.collect::<Result<_>>()? })
    };
    rows().into_iter().map(fill_row).collect()
}

fn fill_panel(prometheus: &PrometheusServer, span: &TimeSpan, panel: Panel) -> Result<FilledPanel> {
    let mut lines = Vec::new();
    let whole = format!("{}s", (span.end - span.start).ceil());
    for query in &panel.queries {
        let interval = if panel.kind == PanelKind::Stat { &whole } else { RATE_INTERVAL };
        for series in prometheus.query_range(&query.with_interval(interval), span.start, span.end)? {
            let points = series.points.iter().filter(|(_, value)| value.is_finite());
            let points: Vec<_> = points.map(|(at, value)| (at - span.start, *value)).collect();
            if !points.is_empty() {
                lines.push(Line { name: named(query.legend, &series.labels), points });
            }
        }
    }
    Ok(FilledPanel { panel, lines })
}

/// Fills the labels into a legend, as Grafana does.
fn named(legend: &str, labels: &BTreeMap<String, String>) -> String {
    let fill =
        |text: String, (label, value): (&String, &String)| text.replace(&format!("{{{{{label}}}}}"), value);
    labels.iter().fold(legend.to_owned(), fill)
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_legend_has_the_values_of_its_labels() {
        let labels =
            [("node", "n1"), ("peer", "10.1.0.1:179")].map(|(label, value)| (label.into(), value.into()));
        assert_eq!(named("{{node}} to {{peer}}", &labels.into()), "n1 to 10.1.0.1:179");
    }
}
