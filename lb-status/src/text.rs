//! Words of status texts: times, short lists, numbers with nouns.

/// Returns a time in two units at most.
pub fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Returns the first few names; `-o json` has all.
pub fn first_few(names: impl ExactSizeIterator<Item = String>, separator: &str) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let mut names: Vec<_> = names.take(SHOWN).collect();
    names.extend((more > 0).then(|| format!("and {more} more")));
    names.join(separator)
}

/// Returns the text of an empty cell.
pub fn dash() -> String {
    "-".to_owned()
}

/// Returns a number with its noun, in the plural unless it is one.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
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

    #[test]
    fn a_long_list_ends_with_the_number_of_the_rest() {
        let names = |number: usize| first_few((0..number).map(|it| it.to_string()), ", ");
        assert_eq!(names(5), "0, 1, 2, 3, 4");
        assert_eq!(names(7), "0, 1, 2, 3, 4, and 2 more");
    }
}
