//! Durations in Go's notation: `90s`, `1m30s`, `1.5h`, `100ms`.

use std::time::Duration;

/// Units and their nanoseconds; a name precedes its own prefixes.
const UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Parses a duration; `None` if it is invalid or negative.
pub fn parse(written: &str) -> Option<Duration> {
    if written == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = written;
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let (unit, size) = UNITS.iter().find(|(unit, _)| unit_of(behind) == *unit)?;
        nanoseconds += number * size;
        rest = behind.strip_prefix(unit)?;
    }
    let is_one = !written.is_empty() && nanoseconds < 1e18;
    is_one.then(|| Duration::from_nanos(nanoseconds.round() as u64))
}

/// Returns the text before the next number.
fn unit_of(text: &str) -> &str {
    text.split(|c: char| c.is_ascii_digit() || c == '.').next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_does() {
        for (written, milliseconds) in [
            ("90s", 90_000),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("100ms", 100),
            ("0", 0),
            ("0s", 0),
            ("2h", 7_200_000),
        ] {
            assert_eq!(parse(written), Some(Duration::from_millis(milliseconds)), "{written}");
        }
        for written in ["", "90", "s", "-1s", "1x", "1m30", "1..5s", "9999999999999h"] {
            assert_eq!(parse(written), None, "{written}");
        }
    }
}
