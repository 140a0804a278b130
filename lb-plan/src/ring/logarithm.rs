//! The binary logarithm in integers.

/// Fraction bits of a logarithm.
pub(super) const FRACTION_BITS: u32 = 48;
/// The table has 2^12 steps between 1 and 2.
const TABLE_BITS: u32 = 12;
const STEPS: usize = 1 << TABLE_BITS;

/// log2(1 + i / 4096), with 48 fraction bits.
static TABLE: [u64; STEPS + 1] = table();

/// Returns -log2((u | 1) / 2^64) with 48 fraction bits; at least 1.
///
/// Interpolates in a table of 4,096 steps: the result is too large by less than 2^-26 and never grows with u,
/// so equal weights rank by u itself, except for ties. The last bit of u is set because zero has no
/// logarithm.
pub(super) fn negative_log2(u: u64) -> u64 {
    let u = u | 1;
    let zeros = u.leading_zeros();
    // u = 2^(63 - zeros) × (1 + mantissa / 2^64)
    let mantissa = (u << zeros) << 1;
    let step = (mantissa >> (64 - TABLE_BITS)) as usize;
    let within = mantissa & (u64::MAX >> TABLE_BITS);
    let rise = u128::from(TABLE[step + 1] - TABLE[step]);
    let fraction = TABLE[step] + ((rise * u128::from(within)) >> (64 - TABLE_BITS)) as u64;
    (u64::from(zeros + 1) << FRACTION_BITS) - fraction
}

const fn table() -> [u64; STEPS + 1] {
    let mut table = [0; STEPS + 1];
    let mut step = 0;
    while step < STEPS {
        table[step] = log2_of_one_to_two((STEPS + step) as u64);
        step += 1;
    }
    // Exact, so that the last step ends where the first of the next power of two begins.
    table[STEPS] = 1 << FRACTION_BITS;
    table
}

/// Computes log2(x / 4096) for x from 4,096 to 8,191, bit by bit: squaring doubles the logarithm, and where
/// the square reaches 2, the next bit is one.
const fn log2_of_one_to_two(x: u64) -> u64 {
    // 63 fraction bits.
    let mut power = x << (63 - TABLE_BITS);
    let mut result = 0;
    let mut bit = FRACTION_BITS;
    while bit > 0 {
        bit -= 1;
        let square = power as u128 * power as u128;
        if square >> 127 == 1 {
            result |= 1 << bit;
            power = (square >> 64) as u64;
        } else {
            power = (square >> 63) as u64;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn as_float(logarithm: u64) -> f64 {
        logarithm as f64 / 2f64.powi(FRACTION_BITS as i32)
    }

    #[test]
    fn powers_of_two_are_exact() {
        for bit in 1..64 {
            // Bit 0 is always set, which affects the smaller powers; from 2^40 on that is below the
            // precision.
            let expected = (64 - bit) << FRACTION_BITS;
            let tolerance = if bit < 40 { expected >> 2 } else { 1 << 10 };
            assert!(negative_log2(1 << bit).abs_diff(expected) <= tolerance, "2^{bit}");
        }
    }

    #[test]
    fn the_ends_are_in_range() {
        assert_eq!(negative_log2(0), 64 << FRACTION_BITS);
        assert!((1..1 << 20).contains(&negative_log2(u64::MAX)));
    }

    proptest! {
        #[test]
        fn it_is_the_logarithm(u: u64) {
            let expected = 64.0 - ((u | 1) as f64).log2();
            prop_assert!((as_float(negative_log2(u)) - expected).abs() < 2f64.powi(-26));
        }

        #[test]
        fn it_never_grows(a: u64, b: u64) {
            let (small, great) = (a.min(b), a.max(b));
            prop_assert!(negative_log2(small) >= negative_log2(great));
        }
    }
}
