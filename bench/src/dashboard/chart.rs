//! A panel of lines.

use fairlead_deploy::dashboard::Unit;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::types::RangedCoordf64;
use plotters::element::PathElement;
use plotters::prelude::*;

use super::canvas::{Area, Drawn, GREY, write};
use super::{FilledPanel, Line, TimeSpan, format};

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Space of the legend below a chart: two lines.
const LEGEND: u32 = 44;
/// Width of a character of the legend, and of the mark before its text, in pixels.
const CHARACTER: u32 = 6;
const MARK: u32 = 26;
/// Colors that a color-blind reader can distinguish.
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(120, 94, 60),
    RGBColor(110, 110, 110),
];

pub(super) fn draw<'a>(place: &Area<'a>, panel: &FilledPanel, span: &TimeSpan) -> Drawn<'a> {
    let unit = panel.panel.unit;
    let (_, height) = place.dim_in_pixel();
    let (upper, legend) = place.split_vertically(height - LEGEND);
    let highest =
        panel.lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if unit == Unit::UpDown || highest <= 0.0 { 1.15 } else { highest * 1.12 };
    let mut chart = ChartBuilder::on(&upper)
        .margin_top(32)
        .margin_right(16)
        .set_label_area_size(LabelAreaPosition::Left, 74)
        .set_label_area_size(LabelAreaPosition::Bottom, 22)
        .build_cartesian_2d(0.0..(span.end - span.start), 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(232, 232, 232))
        .axis_style(RGBColor(180, 180, 180))
        .x_labels(6)
        .y_labels(if unit == Unit::UpDown { 2 } else { 4 })
        .x_label_formatter(&|seconds| format!("{seconds} s"))
        .y_label_formatter(&|value| format::value(*value, unit))
        .label_style(("sans-serif", 12).into_font().color(&GREY))
        .draw()?;
    draw_events(&mut chart, span, top)?;
    for (number, line) in panel.lines.iter().enumerate() {
        for part in unbroken(line) {
            chart.draw_series([PathElement::new(part.to_vec(), color(number).stroke_width(2))])?;
        }
    }
    draw_legend(&legend, &panel.lines)
}

/// Draws the events as vertical lines.
fn draw_events<'b>(chart: &mut Chart<'_, 'b>, span: &TimeSpan, top: f64) -> Drawn<'b> {
    for (at, _) in &span.events {
        let at = at - span.start;
        chart.draw_series([PathElement::new(vec![(at, 0.0), (at, top)], RGBColor(190, 0, 0).mix(0.5))])?;
    }
    Ok(())
}

/// Returns the parts of a line between gaps: its points are a second apart.
fn unbroken(line: &Line) -> impl Iterator<Item = &[(f64, f64)]> {
    line.points.chunk_by(|before, after| after.0 - before.0 < 1.5)
}

/// Draws the names of the lines in two rows, and how many there is no space for.
fn draw_legend<'a>(area: &Area<'a>, lines: &[Line]) -> Drawn<'a> {
    let (width, _) = area.dim_in_pixel();
    let (mut left, mut top) = (12, 2);
    for (number, line) in lines.iter().enumerate() {
        let wide = MARK + CHARACTER * u32::try_from(line.name.chars().count()).unwrap_or(u32::MAX / 16);
        if left + wide > width - 12 && left > 12 {
            (left, top) = (12, top + 19);
        }
        let rest = lines.len() - number;
        if top > 21 || (top == 21 && left + wide + 60 > width && rest > 1) {
            let place = if top > 21 { (width - 70, 21) } else { (left, top) };
            return write(area, &format!("+{rest} more"), place, 12, &GREY);
        }
        let (x, y) = (i32::try_from(left).unwrap_or_default(), i32::try_from(top + 7).unwrap_or_default());
        area.draw(&Rectangle::new([(x, y - 2), (x + 12, y + 1)], color(number).filled()))?;
        write(area, &line.name, (left + 16, top), 12, &BLACK)?;
        left += wide;
    }
    Ok(())
}

fn color(number: usize) -> RGBColor {
    COLORS[number % COLORS.len()]
}
