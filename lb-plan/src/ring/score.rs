//! The score of a member for a slot.

use lb_common::fnv::fnv1a;

use super::logarithm::negative_log2;

/// FNV-1a, 64 bits, with a finalizer. FNV alone gives names that differ only in the last character, as names
/// of nodes do, hashes that differ in few bits.
pub fn seed(bytes: &[u8]) -> u64 {
    mix(fnv1a(bytes.iter().copied()))
}

/// Mixes by the finalizer of splitmix64: a bijection in which every bit of the result depends on every bit of
/// `word`.
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Returns the constant of a slot. It is mixed, so that seeds with a small difference do not share draws
/// across slots.
pub(super) fn slot_key(slot: u64) -> u64 {
    // Steps of the golden ratio, as splitmix64 takes them; slot 0 must not be zero.
    mix((slot + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Returns a member's draw for a slot: uniform over all 64-bit numbers, and the same on every machine.
pub(super) fn draw(seed: u64, slot_key: u64) -> u64 {
    mix(seed ^ slot_key)
}

/// `weight / -log2(draw / 2^64)`, kept as a fraction. Each member's score is the greatest of several with a
/// probability proportional to its weight.
#[derive(Clone, Copy)]
pub(super) struct Score {
    weight: u32,
    draw: u64,
}

impl Score {
    /// Less than every score of a weight above zero.
    pub(super) const LEAST: Self = Self { weight: 0, draw: 0 };

    pub(super) fn new(weight: u32, draw: u64) -> Self {
        Self { weight, draw }
    }

    /// Returns false if this score beats that of a weight and its draw. For equal weights, and so for nearly
    /// all members of most rings, the draws alone decide, without a logarithm.
    pub(super) fn could_lose_to(self, weight: u32, draw: u64) -> bool {
        weight != self.weight || draw >= self.draw
    }

    /// Returns whether this score is strictly greater: equal weights compare by the draws, others by cross
    /// multiplication; the draws decide again where the logarithms are equal.
    pub(super) fn beats(self, other: Self) -> bool {
        if other.weight == Self::LEAST.weight {
            return self.weight > other.weight;
        }
        if other.weight == self.weight {
            return self.draw > other.draw;
        }
        let own = u128::from(self.weight) * u128::from(negative_log2(other.draw));
        let others = u128::from(other.weight) * u128::from(negative_log2(self.draw));
        (own, self.draw) > (others, other.draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_hold() {
        // FNV-1a of the empty string is its offset; splitmix64 seeded with 0 begins with this word.
        assert_eq!(seed(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(seed(b"foobar"), mix(0x8594_4171_f739_67e8));
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn any_weight_beats_the_least() {
        assert!(Score::new(1, 0).beats(Score::LEAST) && Score::LEAST.could_lose_to(1, 0));
        assert!(!Score::LEAST.beats(Score::LEAST));
    }
}
