//! The page: rows of panels, one below the other.

use anyhow::{Result, anyhow};
use fairlead_deploy::dashboard::PanelKind;
use plotters::prelude::*;

use super::canvas::{Area, Drawn, GREY, write};
use super::{FilledPanel, FilledRow, TimeSpan, chart, format};

const WIDTH: u32 = 1560;
const MARGIN: u32 = 14;
/// Height of the title of a row.
const HEAD: u32 = 34;
/// Width and height of a panel of lines, and of one of digits.
const LINES: (u32, u32) = (510, 262);
const STAT: (u32, u32) = (255, 96);
/// Characters of a line of text in a panel.
const TEXT_COLUMNS: usize = 66;

const FRAME: RGBColor = RGBColor(222, 222, 222);

/// Returns the page as SVG.
///
/// # Errors
/// When it cannot be drawn.
pub fn svg(rows: &[FilledRow], span: &TimeSpan) -> Result<String> {
    let height = HEAD + rows.iter().map(row_height).sum::<u32>();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height + 2 * MARGIN)).into_drawing_area();
        // The library's error borrows the output buffer.
        draw(&area, rows, span).map_err(|error| anyhow!("draw: {error}"))?;
    }
    Ok(text)
}

fn size(panel: &FilledPanel) -> (u32, u32) {
    if panel.panel.kind == PanelKind::Stat { STAT } else { LINES }
}

/// Returns the panels of a row in lines that fit the page.
fn broken(row: &FilledRow) -> impl Iterator<Item = &[FilledPanel]> {
    let widest = row.panels.iter().map(|panel| size(panel).0).max().unwrap_or(WIDTH);
    row.panels.chunks(((WIDTH - 2 * MARGIN) / widest).max(1) as usize)
}

fn row_height(row: &FilledRow) -> u32 {
    HEAD + broken(row).map(line_height).sum::<u32>()
}

fn line_height(line: &[FilledPanel]) -> u32 {
    line.iter().map(|panel| size(panel).1).max().unwrap_or_default()
}

fn draw<'a>(area: &Area<'a>, rows: &[FilledRow], span: &TimeSpan) -> Drawn<'a> {
    area.fill(&WHITE)?;
    let events = span.events.iter().map(|(at, name)| format!("{name} at {:.0} s", at - span.start));
    let title = format!("Fairlead. Red lines: {}", events.collect::<Vec<_>>().join(", "));
    write(area, &title, (MARGIN + 4, MARGIN), 15, &GREY)?;
    let mut top = MARGIN + HEAD;
    for row in rows {
        write(area, row.title, (MARGIN + 4, top + 8), 18, &BLACK)?;
        top += HEAD;
        for line in broken(row) {
            for (left, panel) in (MARGIN..).step_by(size(&line[0]).0 as usize).zip(line) {
                draw_panel(area, panel, (left, top), span)?;
            }
            top += line_height(line);
        }
    }
    Ok(())
}

fn draw_panel<'a>(
    area: &Area<'a>,
    panel: &FilledPanel,
    (left, top): (u32, u32),
    span: &TimeSpan,
) -> Drawn<'a> {
    let (width, height) = size(panel);
    let place = area.clone().shrink((left + 3, top + 3), (width - 6, height - 6));
    let (right, bottom) =
        (i32::try_from(width - 7).unwrap_or(i32::MAX), i32::try_from(height - 7).unwrap_or(i32::MAX));
    place.draw(&Rectangle::new([(0, 0), (right, bottom)], FRAME))?;
    write(&place, panel.panel.title, (10, 8), 14, &BLACK)?;
    match panel.panel.kind {
        PanelKind::Stat => {
            let last = panel.lines.first().and_then(|line| line.points.last());
            let text =
                last.map_or("no data".to_owned(), |(_, value)| format::value(*value, panel.panel.unit));
            write(&place, &text, (10, 36), 34, &RGBColor(0, 90, 140))
        }
        PanelKind::Text => {
            for (line, text) in (0..).zip(wrapped(panel.panel.description)) {
                write(&place, &text, (12, 36 + line * 19), 13, &GREY)?;
            }
            Ok(())
        }
        PanelKind::Lines if panel.lines.is_empty() => {
            write(&place, "no data: this lab has none", (160, 120), 14, &GREY)
        }
        PanelKind::Lines => chart::draw(&place, panel, span),
    }
}

/// Breaks a text into lines.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < TEXT_COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{TEXT_COLUMNS, wrapped};

    #[test]
    fn text_is_broken_at_words() {
        let text = "word ".repeat(40);
        let lines = wrapped(&text);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= TEXT_COLUMNS));
        assert_eq!(lines.join(" "), text.trim());
    }
}
