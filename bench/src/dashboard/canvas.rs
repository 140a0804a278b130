//! What is drawn on, and text on it.

use plotters::coord::Shift;
use plotters::prelude::*;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

pub(super) const GREY: RGBColor = RGBColor(96, 96, 96);

/// Writes a line of text whose upper left corner is at this pixel.
pub(super) fn write<'a>(
    area: &Area<'a>,
    text: &str,
    (left, top): (u32, u32),
    size: u32,
    color: &RGBColor,
) -> Drawn<'a> {
    let place = (i32::try_from(left).unwrap_or_default(), i32::try_from(top).unwrap_or_default());
    area.draw(&Text::new(text.to_owned(), place, ("sans-serif", size).into_font().color(color)))
}
