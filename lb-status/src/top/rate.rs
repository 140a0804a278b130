//! Numbers with three digits.

/// Returns a rate with three digits and a prefix, such as `1.25 k`.
pub(super) fn rate(number: f64) -> String {
    const PREFIXES: [&str; 5] = ["", " k", " M", " G", " T"];
    let mut scaled = number;
    let mut prefixes = PREFIXES.iter();
    let mut prefix = prefixes.next().unwrap_or(&"");
    // From here on, three digits would be rounded up to four.
    while scaled >= 999.5
        && let Some(next) = prefixes.next()
    {
        (scaled, prefix) = (scaled / 1000.0, next);
    }
    let digits = match scaled {
        _ if scaled == 0.0 || scaled >= 99.95 => 0,
        _ if scaled >= 9.995 => 1,
        _ => 2,
    };
    let digits = if prefix.is_empty() { digits.min(1) } else { digits };
    format!("{scaled:.digits$}{prefix}")
}

/// Returns a share as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits_at_most() {
        let cases = [
            (0.0, "0"),
            (0.5, "0.5"),
            (12.34, "12.3"),
            (999.4, "999"),
            (999.6, "1.00 k"),
            (1_250.0, "1.25 k"),
            (98_100_000.0, "98.1 M"),
            (1e18, "1000000 T"),
        ];
        for (number, expected) in cases {
            assert_eq!(rate(number), expected);
        }
    }
}
