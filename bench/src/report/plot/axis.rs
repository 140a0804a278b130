//! An axis: where a value is drawn, and which values are marked.

/// A linear or logarithmic axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

/// Marks of a linear axis, about this many.
const MARKS: f64 = 5.0;

impl Axis {
    /// Returns an axis from zero, or from the least value if it is negative, to the greatest.
    pub(super) fn linear(values: &[f64]) -> Self {
        let low = values.iter().copied().fold(0.0, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, is_logarithmic: false }
    }

    /// Returns an axis over the decades of the values above zero.
    pub(super) fn logarithmic(values: &[f64]) -> Self {
        let positive = || values.iter().copied().filter(|value| *value > 0.0);
        let low = positive().fold(f64::INFINITY, f64::min);
        let high = positive().fold(0.0, f64::max);
        if high == 0.0 {
            return Self { low: 0.0, high: 1.0, is_logarithmic: true };
        }
        let (low, high) = (low.log10().floor(), high.log10().ceil());
        Self { low, high: high.max(low + 1.0), is_logarithmic: true }
    }

    /// Returns the part of the axis's length at which a value is drawn.
    pub(super) fn part(self, value: f64) -> f64 {
        (self.place(value) - self.low) / (self.high - self.low)
    }

    /// Returns the values of its marks: decades, or round numbers.
    pub(super) fn marks(self) -> Vec<f64> {
        let length = self.high - self.low;
        if self.is_logarithmic {
            let step = (length / (2.0 * MARKS)).ceil().max(1.0);
            return multiples(self.low, self.high, step)
                .into_iter()
                .map(|place| 10_f64.powf(place))
                .collect();
        }
        multiples(self.low, self.high, round_step(length / MARKS))
    }

    /// Returns where a value is drawn, in the axis's own scale; values below a logarithmic axis at its end.
    fn place(self, value: f64) -> f64 {
        match (self.is_logarithmic, value > 0.0) {
            (true, true) => value.log10().clamp(self.low, self.high),
            (true, false) => self.low,
            (false, _) => value,
        }
    }
}

/// Returns the multiples of a step in a range.
fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    // Sums of fractions miss the ends by a little.
    let slack = 1e-9;
    let first = (low / step - slack).ceil();
    let count = (high / step - first + slack).floor().max(0.0) as u32;
    (0..=count).map(|number| (first + f64::from(number)) * step).collect()
}

/// Returns the next number of 1, 2 and 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * decade)
        .find(|step| *step >= least * 0.999)
        .unwrap_or(10.0 * decade)
}

#[cfg(test)]
mod tests {
    use super::Axis;

    #[test]
    fn a_linear_axis_begins_at_zero_and_marks_round_numbers() {
        let axis = Axis::linear(&[3.0, 9.7]);
        assert!(axis.part(0.0) == 0.0 && axis.part(9.7) == 1.0);
        assert_eq!(axis.marks(), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert!((axis.part(4.85) - 0.5).abs() < 1e-9);
        assert_eq!(Axis::linear(&[-1.0, 11.0]).marks().first(), Some(&0.0));
    }

    #[test]
    fn a_logarithmic_axis_has_whole_decades() {
        let axis = Axis::logarithmic(&[0.0, 0.02, 3.0]);
        let marks = axis.marks();
        assert_eq!(marks.len(), 4);
        let is_near = |(mark, due): (&f64, f64)| (mark / due - 1.0).abs() < 1e-9;
        assert!(marks.iter().zip([0.01, 0.1, 1.0, 10.0]).all(is_near), "{marks:?}");
        assert!(axis.part(0.0) == 0.0 && axis.part(10.0) == 1.0);
    }

    #[test]
    fn an_axis_without_a_value_above_zero_has_a_length() {
        for axis in [Axis::linear(&[0.0]), Axis::logarithmic(&[0.0]), Axis::linear(&[])] {
            assert!(axis.part(0.0) == 0.0 && !axis.marks().is_empty(), "{axis:?}");
        }
        assert_eq!(Axis::logarithmic(&[100.0]).part(100.0), 0.0);
    }
}
