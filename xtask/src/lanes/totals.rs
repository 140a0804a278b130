//! Counts of passed, failed and ignored tests, from the test runner's output.

use std::iter::Sum;
use std::ops::Add;

/// Tests counted by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) ignored: u32,
}

impl Totals {
    /// A failure that is not of one test.
    pub(crate) const FAILURE: Self = Self { passed: 0, failed: 1, ignored: 0 };

    /// Parses a line of the runner's output; `None` if it is not a result.
    ///
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
    pub(crate) fn of(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |label: &str| {
            let field = counts.split("; ").find_map(|field| field.strip_suffix(label))?;
            field.trim_end().parse().ok()
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(totals: I) -> Self {
        totals.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn a_result_is_read_whether_good_or_bad() {
        let good =
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; finished in 0.01s";
        assert_eq!(Totals::of(good), Some(Totals { passed: 12, failed: 0, ignored: 3 }));
        let bad = "test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s";
        assert_eq!(Totals::of(bad), Some(Totals { passed: 0, failed: 2, ignored: 0 }));
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in [
            "",
            "running 3 tests",
            "test ring::tests::result ... ok",
            "test result: ",
            "test result: ok. x passed",
        ] {
            assert_eq!(Totals::of(line), None, "{line}");
        }
    }

    #[test]
    fn totals_add_up() {
        let one = Totals { passed: 1, failed: 2, ignored: 3 };
        assert_eq!(
            [one, one, Totals::FAILURE].into_iter().sum::<Totals>(),
            Totals { passed: 2, failed: 5, ignored: 6 }
        );
    }
}
