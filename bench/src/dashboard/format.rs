//! Values with their units.

use fairlead_deploy::dashboard::Unit;

/// Formats a value in few digits.
pub(super) fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => seconds(value),
        Unit::Percent => format!("{} %", short(value)),
        Unit::UpDown => if value > 0.5 { "up" } else { "down" }.to_owned(),
        Unit::BitsPerSecond => format!("{}bit/s", scaled(value)),
        Unit::PacketsPerSecond => format!("{}/s", scaled(value).trim_end()),
        Unit::PerSecond => format!("{}/s", scaled(value).trim_end()),
        Unit::Count => scaled(value).trim_end().to_owned(),
    }
}

fn seconds(value: f64) -> String {
    match value {
        value if value < 1e-9 => "0".to_owned(),
        value if value < 1e-3 => format!("{} µs", short(value * 1e6)),
        value if value < 1.0 => format!("{} ms", short(value * 1e3)),
        value => format!("{} s", short(value)),
    }
}

/// Formats a value with a prefix for thousands or millions.
fn scaled(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", short(value / 1e6)),
        value if value >= 1e3 => format!("{} k", short(value / 1e3)),
        value => format!("{} ", short(value)),
    }
}

/// Formats a value with three significant digits at most, without trailing zeros.
fn short(value: f64) -> String {
    let digits = match value {
        value if value >= 99.5 => 0,
        value if value >= 9.95 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_few_digits_and_their_unit() {
        assert_eq!(value(0.00025, Unit::Seconds), "250 µs");
        assert_eq!(value(1_234_567.0, Unit::BitsPerSecond), "1.23 Mbit/s");
        assert_eq!(value(12.0, Unit::PacketsPerSecond), "12/s");
        assert_eq!(value(100.0, Unit::Percent), "100 %");
        assert_eq!(value(1.02, Unit::Count), "1.02");
    }
}
