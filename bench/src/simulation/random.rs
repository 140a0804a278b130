//! Chance from a seed: SplitMix64, with a stream of its own for each purpose.

use lb_plan::ring::mix;

/// A stream of numbers that a seed and a purpose determine.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of this seed for this purpose. What one purpose draws does not change another's numbers.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self { state: mix(seed) ^ lb_plan::ring::seed(purpose.as_bytes()) }
    }

    /// Any number.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        // The upper half of a product is as even as the words are, to one part in 2^32.
        (((self.word() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// One of these; `None` if there is none.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let bound = u32::try_from(from.len()).ok().filter(|bound| *bound > 0)?;
        from.get(self.below(bound) as usize).copied()
    }
}
