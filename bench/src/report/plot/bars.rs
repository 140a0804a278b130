//! Horizontal bars: the name of a row above its bars, the median behind each, a line from minimum to maximum.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::{Area, Chart, Drawn, INK, OTHERS, WIDTH, color, hexadecimal, is_ours, spread, svg};
use crate::results::{FigureUnit, ResultRow, Spread, format};

/// Heights of a row's name, of a bar with the gap below it, and of the gap below a row.
const NAME: i32 = 18;
/// See [`NAME`].
const BAR: i32 = 15;
/// See [`NAME`].
const GAP: i32 = 7;
/// Room for the values behind the longest bar.
const VALUES: u32 = 90;

/// One row.
struct Group {
    name: String,
    is_ours: bool,
    bars: Vec<(RGBColor, Spread)>,
}

/// Returns the chart of these figures; `None` if no row has one.
pub(super) fn chart(
    rows: &[ResultRow],
    names: &[String],
    unit: FigureUnit,
    is_logarithmic: bool,
) -> Result<Option<Chart>> {
    let groups: Vec<Group> =
        rows.iter().map(|row| group(row, names, unit)).filter(|group| !group.bars.is_empty()).collect();
    let values: Vec<f64> = groups
        .iter()
        .flat_map(|group| &group.bars)
        .flat_map(|(_, spread)| [spread.minimum, spread.median, spread.maximum])
        .collect();
    if values.is_empty() {
        return Ok(None);
    }
    let axis = if is_logarithmic { Axis::logarithmic(&values) } else { Axis::linear(&values) };
    let height: i32 = groups.iter().map(Group::height).sum();
    let drawn = svg(height.unsigned_abs(), |area| {
        let mut top = 0;
        for group in &groups {
            draw(area, group, top, axis, unit)?;
            top += group.height();
        }
        Ok(())
    })?;
    let scale = if is_logarithmic { " (logarithmic)" } else { "" };
    let legend = if names.len() < 2 {
        Vec::new()
    } else {
        names.iter().enumerate().map(|(at, name)| (name.clone(), hexadecimal(color(at)))).collect()
    };
    Ok(Some(Chart { title: format!("{}{scale}", names.join(", ")), legend, svg: drawn }))
}

fn group(row: &ResultRow, names: &[String], unit: FigureUnit) -> Group {
    let is_ours = is_ours(&row.labels);
    let paint = |at: usize| match (names.len(), is_ours) {
        (1, true) => color(0),
        (1, false) => OTHERS,
        _ => color(at),
    };
    let bars = names.iter().enumerate().filter_map(|(at, name)| Some((paint(at), spread(row, name, unit)?)));
    Group { name: row.labels.join(" · "), is_ours, bars: bars.collect() }
}

impl Group {
    fn height(&self) -> i32 {
        let bars = i32::try_from(self.bars.len()).unwrap_or(i32::MAX);
        NAME + bars.saturating_mul(BAR) + GAP
    }
}

fn draw<'a>(area: &Area<'a>, group: &Group, top: i32, axis: Axis, unit: FigureUnit) -> Drawn<'a> {
    let style = if group.is_ours { FontStyle::Bold } else { FontStyle::Normal };
    let name = TextStyle::from(("sans-serif", 14, style).into_font()).color(&INK);
    area.draw(&Text::new(group.name.clone(), (0, top + 1), name))?;
    let values =
        TextStyle::from(("sans-serif", 12).into_font()).color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    let length = f64::from(WIDTH - VALUES);
    for (number, (color, spread)) in (0..).zip(&group.bars) {
        let upper = top + NAME + number * BAR;
        let middle = upper + BAR / 2 - 1;
        let [least, end, most] = [spread.minimum, spread.median, spread.maximum]
            .map(|value| (axis.part(value) * length).round() as i32);
        area.draw(&Rectangle::new([(0, upper), (end.max(1), upper + BAR - 2)], color.filled()))?;
        area.draw(&PathElement::new([(least, middle), (most, middle)], INK.stroke_width(1)))?;
        for end in [least, most] {
            area.draw(&PathElement::new([(end, middle - 3), (end, middle + 3)], INK.stroke_width(1)))?;
        }
        let text = format::value(unit, spread.median);
        area.draw(&Text::new(text, (most.max(end) + 6, middle), values.clone()))?;
    }
    Ok(())
}
