//! Seeded random numbers (SplitMix64), with a separate stream for each purpose.

use lb_plan::ring::mix;

/// A stream of numbers determined by a seed and a purpose.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Creates the stream of a seed for a purpose; draws for one purpose do not change another's numbers.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self { state: mix(seed) ^ lb_plan::ring::seed(purpose.as_bytes()) }
    }

    /// Draws any number.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Draws a number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        // The upper half of the product is as uniform as the words, to one part in 2^32.
        (((self.word() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Draws an item; `None` if there is none.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let bound = u32::try_from(from.len()).ok().filter(|bound| *bound > 0)?;
        from.get(self.below(bound) as usize).copied()
    }
}
