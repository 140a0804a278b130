//! Minimum, median and maximum.

use serde::{Deserialize, Serialize};

/// The spread of samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The least sample.
    pub minimum: f64,
    /// The median: of an even number of samples, the mean of the middle two.
    pub median: f64,
    /// The greatest sample.
    pub maximum: f64,
}

impl Spread {
    /// Returns the spread; `None` without samples.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (minimum, maximum) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { minimum, median: f64::midpoint(lower, upper), maximum })
    }

    /// Whether two spreads have a value in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.minimum <= other.maximum && other.minimum <= self.maximum
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        let expected = Spread { minimum: 1.0, median: 2.5, maximum: 9.0 };
        assert_eq!(Spread::of(&[9.0, 1.0, 3.0, 2.0]), Some(expected));
        assert_eq!(Spread::of(&[4.0]), Some(Spread { minimum: 4.0, median: 4.0, maximum: 4.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn spreads_that_touch_overlap() {
        let spread = |minimum, maximum| Spread { minimum, median: minimum, maximum };
        assert!(spread(1.0, 2.0).overlaps(&spread(2.0, 3.0)));
        assert!(spread(1.0, 9.0).overlaps(&spread(2.0, 3.0)));
        assert!(!spread(1.0, 2.0).overlaps(&spread(2.1, 3.0)));
    }
}
