//! The charts of a table: one for each unit, and for each value of the first label if the table is long.

mod axis;
mod bars;
mod lines;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::results::{FigureUnit, Plot, ResultRow, ResultTable, Spread};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// A chart, without its caption and legend, which a page sets as text.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The caption.
    pub title: String,
    /// Names of the series with their colors; empty if there is only one.
    pub legend: Vec<(String, String)>,
    /// The drawing.
    pub svg: String,
}

/// Width of a chart.
const WIDTH: u32 = 640;

/// Rows of bars, or lines, above which a chart is divided.
const MOST: usize = 8;

/// Text and axes: a page replaces this color by that of its text, which follows the reader's system.
const INK: RGBColor = RGBColor(1, 1, 1);

/// Colors that a color-blind reader distinguishes, on light and on dark; the first is Fairlead's.
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 158, 115),
    RGBColor(86, 160, 220),
    RGBColor(230, 159, 0),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(140, 140, 150),
    RGBColor(120, 100, 220),
    RGBColor(190, 170, 40),
];

/// What others than Fairlead have where only one figure is drawn.
const OTHERS: RGBColor = RGBColor(125, 145, 165);

/// Returns the charts of a table; none if it is not to be drawn.
///
/// # Errors
/// When one cannot be drawn.
pub fn charts(table: &ResultTable) -> Result<Vec<Chart>> {
    let Some(kind) = table.plot else { return Ok(Vec::new()) };
    let mut charts = Vec::new();
    for (part, rows) in parts(table, kind) {
        for (unit, names) in units(&rows) {
            let drawn = match kind {
                Plot::Bars => bars::chart(&rows, &names, unit, false)?,
                Plot::LogarithmicBars => bars::chart(&rows, &names, unit, true)?,
                Plot::Lines => lines::chart(table, &rows, &names, unit, true)?,
                Plot::Timeline => lines::chart(table, &rows, &names, unit, false)?,
            };
            charts.extend(drawn.map(|chart| Chart { title: format!("{part}{}", chart.title), ..chart }));
        }
    }
    Ok(charts)
}

/// Whether a row is Fairlead's.
#[must_use]
pub fn is_ours(labels: &[String]) -> bool {
    labels.iter().any(|label| label.starts_with("Fairlead"))
}

/// Returns the rows of each chart, with the words that head its caption.
fn parts(table: &ResultTable, kind: Plot) -> Vec<(String, Vec<ResultRow>)> {
    let last = match kind {
        Plot::Bars | Plot::LogarithmicBars => 0,
        Plot::Lines | Plot::Timeline => 1,
    };
    let mut series: Vec<&[String]> = table
        .rows
        .iter()
        .map(|row| row.labels.get(..row.labels.len() - last.min(row.labels.len())).unwrap_or_default())
        .collect();
    series.dedup();
    if series.len() <= MOST || table.labels.len() < 2 + last {
        return vec![(String::new(), table.rows.clone())];
    }
    let mut parts: Vec<(String, Vec<ResultRow>)> = Vec::new();
    for row in &table.rows {
        let Some((first, rest)) = row.labels.split_first() else { continue };
        let head = format!("{first}: ");
        let row = ResultRow { labels: rest.to_vec(), figures: row.figures.clone() };
        match parts.iter_mut().find(|(other, _)| *other == head) {
            Some((_, rows)) => rows.push(row),
            None => parts.push((head, vec![row])),
        }
    }
    parts
}

/// Returns the units of the rows with the names of their figures.
fn units(rows: &[ResultRow]) -> Vec<(FigureUnit, Vec<String>)> {
    let mut units: Vec<(FigureUnit, Vec<String>)> = Vec::new();
    for figure in rows.iter().flat_map(|row| &row.figures) {
        match units.iter_mut().find(|(unit, _)| *unit == figure.unit) {
            Some((_, names)) if names.contains(&figure.name) => {}
            Some((_, names)) => names.push(figure.name.clone()),
            None => units.push((figure.unit, vec![figure.name.clone()])),
        }
    }
    units
}

/// Returns a figure of a row, if it has that unit.
fn spread(row: &ResultRow, name: &str, unit: FigureUnit) -> Option<Spread> {
    row.figure(name).filter(|figure| figure.unit == unit)?.spread()
}

/// Draws on an area of this height, and returns it as SVG that takes the color of the text around it.
fn svg(height: u32, draw: impl for<'a> Fn(&Area<'a>) -> Drawn<'a>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        // The library's error borrows the output buffer.
        draw(&area).and_then(|()| area.present()).map_err(|error| anyhow!("draw: {error}"))?;
    }
    Ok(text.replace(&hexadecimal(INK), "currentColor"))
}

fn color(series: usize) -> RGBColor {
    COLORS[series % COLORS.len()]
}

/// As the drawing library writes it.
fn hexadecimal(color: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
}
