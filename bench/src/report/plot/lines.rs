//! Lines over the last label of a table, which is a number.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::{Area, Chart, Drawn, INK, WIDTH, color, hexadecimal, spread, svg};
use crate::results::{FigureUnit, ResultRow, ResultTable, Spread, format};

const HEIGHT: u32 = 300;
/// The edges of the plot, between the labels.
const LEFT: i32 = 84;
/// See [`LEFT`].
const RIGHT: i32 = WIDTH as i32 - 26;
/// See [`LEFT`].
const TOP: i32 = 10;
/// See [`LEFT`].
const BOTTOM: i32 = HEIGHT as i32 - 46;

/// Both axes of a chart.
struct Axes<'a> {
    x: Axis,
    y: Axis,
    unit: FigureUnit,
    /// Of the x axis.
    name: &'a str,
}

/// A line: its name and its points.
type Series = (String, Vec<(f64, Spread)>);

/// Returns the chart of these figures, with logarithmic axes or linear ones; `None` if there is no point.
pub(super) fn chart(
    table: &ResultTable,
    rows: &[ResultRow],
    names: &[String],
    unit: FigureUnit,
    is_logarithmic: bool,
) -> Result<Option<Chart>> {
    let lines = series(rows, names, unit);
    let points = || lines.iter().flat_map(|(_, points)| points);
    let over: Vec<f64> = points().map(|(x, _)| *x).collect();
    let values: Vec<f64> = points().flat_map(|(_, spread)| [spread.minimum, spread.maximum]).collect();
    if values.is_empty() {
        return Ok(None);
    }
    let axis = if is_logarithmic { Axis::logarithmic } else { Axis::linear };
    let name = table.labels.last().map(String::as_str).unwrap_or_default();
    let axes = Axes { x: axis(&over), y: axis(&values), unit, name };
    let drawn = svg(HEIGHT, |area| draw(area, &lines, &axes, is_logarithmic))?;
    let scale = if is_logarithmic { " (logarithmic)" } else { "" };
    let legend = if lines.len() < 2 {
        Vec::new()
    } else {
        lines.iter().enumerate().map(|(at, (name, _))| (name.clone(), hexadecimal(color(at)))).collect()
    };
    Ok(Some(Chart { title: format!("{} over {name}{scale}", names.join(", ")), legend, svg: drawn }))
}

/// Returns the lines; a label that is no number has no point.
fn series(rows: &[ResultRow], names: &[String], unit: FigureUnit) -> Vec<Series> {
    let mut lines: Vec<Series> = Vec::new();
    for row in rows {
        let Some((last, others)) = row.labels.split_last() else { continue };
        let Ok(x) = last.replace(',', "").parse::<f64>() else { continue };
        for name in names {
            let Some(spread) = spread(row, name, unit) else { continue };
            let words = others.iter().chain((names.len() > 1).then_some(name));
            let words = words.map(String::as_str).collect::<Vec<_>>().join(" · ");
            match lines.iter_mut().find(|(other, _)| *other == words) {
                Some((_, points)) => points.push((x, spread)),
                None => lines.push((words, vec![(x, spread)])),
            }
        }
    }
    lines
}

fn draw<'a>(area: &Area<'a>, lines: &[Series], axes: &Axes, has_marks: bool) -> Drawn<'a> {
    draw_axes(area, axes)?;
    for (number, (_, points)) in lines.iter().enumerate() {
        let color = color(number);
        let line: Vec<_> = points.iter().map(|(over, spread)| axes.place(*over, spread.median)).collect();
        area.draw(&PathElement::new(line, color.stroke_width(2)))?;
        for (over, spread) in points.iter().filter(|_| has_marks) {
            let ends = [spread.minimum, spread.maximum].map(|value| axes.place(*over, value));
            area.draw(&PathElement::new(ends.to_vec(), color.stroke_width(1)))?;
            area.draw(&Circle::new(axes.place(*over, spread.median), 3, color.filled()))?;
        }
    }
    Ok(())
}

/// Draws a line of the grid with its value at each mark, and the name of the axis below.
fn draw_axes<'a>(area: &Area<'a>, axes: &Axes) -> Drawn<'a> {
    let style = |horizontal, vertical| {
        let font = ("sans-serif", 13).into_font();
        TextStyle::from(font).color(&INK).pos(Pos::new(horizontal, vertical))
    };
    let grid = INK.mix(0.15).stroke_width(1);
    for mark in axes.y.marks() {
        let (_, y) = axes.place(0.0, mark);
        area.draw(&PathElement::new(vec![(LEFT, y), (RIGHT, y)], grid))?;
        let text = format::value(axes.unit, mark);
        area.draw(&Text::new(text, (LEFT - 8, y), style(HPos::Right, VPos::Center)))?;
    }
    for mark in axes.x.marks() {
        let (x, _) = axes.place(mark, 0.0);
        area.draw(&PathElement::new(vec![(x, TOP), (x, BOTTOM)], grid))?;
        let text = format::value(FigureUnit::Count, mark);
        area.draw(&Text::new(text, (x, BOTTOM + 7), style(HPos::Center, VPos::Top)))?;
    }
    let middle = i32::midpoint(LEFT, RIGHT);
    area.draw(&Text::new(axes.name.to_owned(), (middle, BOTTOM + 26), style(HPos::Center, VPos::Top)))
}

impl Axes<'_> {
    fn place(&self, over: f64, value: f64) -> (i32, i32) {
        let along = |part: f64, from: i32, to: i32| from + (part * f64::from(to - from)).round() as i32;
        (along(self.x.part(over), LEFT, RIGHT), along(self.y.part(value), BOTTOM, TOP))
    }
}
