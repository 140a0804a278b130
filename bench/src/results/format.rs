//! Figures for people: scaled units and three significant digits.

use super::{Bound, FigureUnit, Spread};

/// A factor and the unit that it gives.
type Scale = (f64, &'static str);

const SECONDS: [Scale; 4] = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];
const THINGS: [Scale; 4] = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
const BITS: [Scale; 4] = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")];
const BYTES: [Scale; 4] = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB"), (1.0, "B")];
const SHARE: [Scale; 1] = [(0.01, "%")];
const NUMBER: [Scale; 1] = [(1.0, "")];

/// Below this, things are printed one by one: four digits are as short as three and a letter.
const SMALL: f64 = 10_000.0;

/// Formats a value, such as `1.25 ms`.
#[must_use]
pub fn value(unit: FigureUnit, value: f64) -> String {
    let scale = scale(unit, value);
    with_unit(digits(value / scale.0), unit, scale)
}

/// Formats `minimum/median/maximum` in the same unit, such as `1.2/1.3/1.9 ms`; equal values as one.
#[must_use]
pub fn spread(unit: FigureUnit, spread: &Spread) -> String {
    let Spread { minimum, median, maximum } = *spread;
    if minimum.total_cmp(&maximum).is_eq() {
        return value(unit, median);
    }
    let scale = scale(unit, if median == 0.0 { maximum } else { median });
    let values = [minimum, median, maximum].map(|value| digits(value / scale.0));
    with_unit(values.join("/"), unit, scale)
}

/// Formats a limit, such as `at most 200 ms`.
#[must_use]
pub fn bound(unit: FigureUnit, bound: Bound) -> String {
    match bound {
        Bound::AtMost(limit) => format!("at most {}", value(unit, limit)),
        Bound::AtLeast(limit) => format!("at least {}", value(unit, limit)),
    }
}

fn scale(unit: FigureUnit, value: f64) -> Scale {
    let scales: &[Scale] = match unit {
        FigureUnit::Seconds => &SECONDS,
        FigureUnit::Count | FigureUnit::PerSecond if value.abs() < SMALL => &NUMBER,
        FigureUnit::Count | FigureUnit::PerSecond => &THINGS,
        FigureUnit::BitsPerSecond => &BITS,
        FigureUnit::Bytes => &BYTES,
        FigureUnit::Share => &SHARE,
        FigureUnit::Number => &NUMBER,
    };
    // Zero has the first unit, and what is less than one of the last has the last.
    let fits = scales.iter().find(|(factor, _)| value == 0.0 || value.abs() >= *factor);
    fits.or(scales.last()).copied().unwrap_or((1.0, ""))
}

fn with_unit(text: String, unit: FigureUnit, (_, symbol): Scale) -> String {
    match unit {
        FigureUnit::Count => format!("{text}{symbol}"),
        FigureUnit::PerSecond => format!("{text}{symbol}/s"),
        _ if symbol.is_empty() => text,
        _ => format!("{text} {symbol}"),
    }
}

/// Three significant digits, and all that stand before the point.
fn digits(value: f64) -> String {
    // What rounds to a whole number is written as one.
    if (value - value.round()).abs() < 1e-9 {
        return format!("{:.0}", value.round() + 0.0);
    }
    let before_point = value.abs().log10().floor() as i32 + 1;
    let places = usize::try_from(3 - before_point).unwrap_or_default().min(6);
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::{bound, spread, value};
    use crate::results::{Bound, FigureUnit, Spread};

    #[test]
    fn a_value_has_three_digits_and_a_unit_for_people() {
        let cases = [
            (FigureUnit::Seconds, 0.0, "0 s"),
            (FigureUnit::Seconds, 37e-9, "37 ns"),
            (FigureUnit::Seconds, 1.2345e-3, "1.23 ms"),
            (FigureUnit::Seconds, 90.0, "90 s"),
            (FigureUnit::Count, 3.0, "3"),
            (FigureUnit::Count, 9_999.0, "9999"),
            (FigureUnit::Count, 12_345.0, "12.3k"),
            (FigureUnit::PerSecond, 350_000.0, "350k/s"),
            (FigureUnit::BitsPerSecond, 9.41e9, "9.41 Gbit/s"),
            (FigureUnit::Bytes, 1_572_864.0, "1.5 MiB"),
            (FigureUnit::Share, 0.312, "31.2 %"),
            (FigureUnit::Share, 0.00004, "0.004 %"),
            (FigureUnit::Number, 0.99, "0.99"),
            (FigureUnit::Number, -0.5, "-0.5"),
        ];
        for (unit, number, text) in cases {
            assert_eq!(value(unit, number), text);
        }
    }

    #[test]
    fn a_spread_has_one_unit() {
        let wide = Spread { minimum: 0.9e-3, median: 1.25e-3, maximum: 0.25 };
        assert_eq!(spread(FigureUnit::Seconds, &wide), "0.9/1.25/250 ms");
        let equal = Spread { minimum: 0.0, median: 0.0, maximum: 0.0 };
        assert_eq!(spread(FigureUnit::Count, &equal), "0");
        let rare = Spread { minimum: 0.0, median: 0.0, maximum: 0.002 };
        assert_eq!(spread(FigureUnit::Seconds, &rare), "0/0/2 ms");
    }

    #[test]
    fn a_limit_has_its_direction() {
        assert_eq!(bound(FigureUnit::Seconds, Bound::AtMost(0.2)), "at most 200 ms");
        assert_eq!(bound(FigureUnit::Number, Bound::AtLeast(1.0)), "at least 1");
    }
}
