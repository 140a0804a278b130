//! Texts of cells.

/// Returns a time in two units at most.
pub(super) fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Returns the text of an empty cell.
pub(super) fn dash() -> String {
    "-".to_owned()
}

/// Returns the first few names; `-o json` has all.
pub(super) fn first_few(names: impl ExactSizeIterator<Item = String>, separator: &str) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let mut names: Vec<_> = names.take(SHOWN).collect();
    names.extend((more > 0).then(|| format!("and {more} more")));
    names.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_at_most_two_units() {
        let cases = [(59, "59 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")];
        for (seconds, expected) in cases {
            assert_eq!(time(seconds), expected);
        }
    }
}
