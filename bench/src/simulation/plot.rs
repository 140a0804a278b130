//! A chart of the report: a group of bars for each event, a bar for each scheme, on a logarithmic scale.

use anyhow::{Result, anyhow};
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::combinators::LogCoord;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::engine::RunResult;
use super::report::{OURS, SimulationReport};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, LogCoord<f64>>>;

const SIZE: (u32, u32) = (1900, 720);
/// Lowest and highest percentage of the scale.
const SCALE: (f64, f64) = (0.0005, 100.0);
/// The bars' share of a group's width.
const FILLED: f64 = 0.86;
/// Colours that a colour-blind reader can distinguish; the last is ours.
const COLOURS: [RGBColor; 8] = [
    RGBColor(153, 153, 153),
    RGBColor(86, 180, 233),
    RGBColor(240, 170, 30),
    RGBColor(190, 70, 0),
    RGBColor(230, 215, 60),
    RGBColor(204, 121, 167),
    RGBColor(60, 60, 150),
    RGBColor(0, 114, 80),
];

/// Returns the chart as SVG.
///
/// # Errors
/// When the chart cannot be drawn.
pub fn svg(report: &SimulationReport) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        // The library's error borrows the output buffer.
        draw(&area, report).map_err(|error| anyhow!("draw: {error}"))?;
    }
    Ok(text)
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(area: &Area<'a>, report: &SimulationReport) -> Drawn<'a> {
    area.fill(&WHITE)?;
    let (head, body) = area.split_vertically(96);
    draw_head(&head, report)?;
    let groups = report.outcomes.len() as f64;
    let mut chart = ChartBuilder::on(&body)
        .margin_right(24)
        .set_label_area_size(LabelAreaPosition::Left, 90)
        .set_label_area_size(LabelAreaPosition::Bottom, 64)
        .build_cartesian_2d(0.0..groups, (SCALE.0..SCALE.1).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .y_labels(6)
        .y_label_formatter(&|percent| format!("{percent} %"))
        .y_label_style(("sans-serif", 15))
        .draw()?;
    for (at, outcome) in report.outcomes.iter().enumerate() {
        draw_group(&mut chart, at as f64, outcome)?;
        draw_name(&body, &chart, at as f64, outcome.subject.name())?;
    }
    Ok(())
}

/// Draws the title, the parameters and the legend.
fn draw_head<'a>(head: &Area<'a>, report: &SimulationReport) -> Drawn<'a> {
    write(
        head,
        "Connections broken while their owner lives: percent of those at risk, by event (log scale)",
        24,
        16,
    )?;
    let setup = format!(
        "{} flows, {} nodes at first, object changes reach each node within {} ms, a silent node is dead after {} ms; seed {}",
        report.flows,
        report.nodes,
        report.delay * 50,
        report.detection * 50,
        report.seed,
    );
    write(head, &setup, 14, 46)?;
    let names = report.outcomes.first().map(|outcome| outcome.scores.as_slice()).unwrap_or_default();
    for (at, score) in (0..).zip(names) {
        let left = 90 + at * 190;
        head.draw(&Rectangle::new([(left, 72), (left + 16, 88)], colour(at as usize).filled()))?;
        let weight = if score.scheme == OURS { FontStyle::Bold } else { FontStyle::Normal };
        let style = TextStyle::from(("sans-serif", 15, weight).into_font());
        head.draw(&Text::new(score.scheme, (left + 23, 74), style))?;
    }
    Ok(())
}

/// Draws a line of text at the left edge of the chart.
fn write<'a>(head: &Area<'a>, text: &str, size: u32, top: i32) -> Drawn<'a> {
    head.draw(&Text::new(text.to_owned(), (90, top), ("sans-serif", size).into_font()))
}

/// Draws the bars of an event; a zero takes the place of an empty bar.
fn draw_group<'b>(chart: &mut Chart<'_, 'b>, at: f64, outcome: &RunResult) -> Drawn<'b> {
    let width = FILLED / outcome.scores.len().max(1) as f64;
    for (number, score) in outcome.scores.iter().enumerate() {
        let left = at + (1.0 - FILLED) / 2.0 + width * number as f64;
        let percent = score.broken as f64 * 100.0 / outcome.at_risk.max(1) as f64;
        let colour = colour(number);
        if score.broken > 0 {
            let bar = [(left, SCALE.0), (left + width * 0.94, percent.max(SCALE.0 * 1.1))];
            chart.draw_series([Rectangle::new(bar, colour.filled())])?;
        } else {
            let nought = ("sans-serif", 14, FontStyle::Bold)
                .into_font()
                .color(&colour)
                .pos(Pos::new(HPos::Center, VPos::Bottom));
            chart.draw_series([Text::new("0", (left + width / 2.0, SCALE.0), nought)])?;
        }
    }
    Ok(())
}

/// Draws the name of an event below its bars, one line for each part.
fn draw_name<'b>(body: &Area<'b>, chart: &Chart<'_, 'b>, at: f64, name: &str) -> Drawn<'b> {
    let (x, y) = chart.backend_coord(&(at + 0.5, SCALE.0));
    let (_, top) = body.get_base_pixel();
    let style = TextStyle::from(("sans-serif", 14).into_font()).pos(Pos::new(HPos::Center, VPos::Top));
    // A comma separates the parts of a name.
    for (line, part) in (0..).zip(name.split(", ")) {
        body.draw(&Text::new(part.to_owned(), (x, y - top + 8 + line * 18), style.clone()))?;
    }
    Ok(())
}

fn colour(scheme: usize) -> RGBColor {
    COLOURS[scheme % COLOURS.len()]
}
