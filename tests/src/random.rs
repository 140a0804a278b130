//! A seeded pseudo-random generator with the same output everywhere: SplitMix64.

/// A sequence of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct SeededRandom {
    state: u64,
}

impl SeededRandom {
    /// Creates the sequence of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Draws a number below `bound`, nearly uniform; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.draw().checked_rem(bound as u64).unwrap_or(0) as usize
    }

    /// Draws 64 bits.
    pub const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
