//! The cells of `lb_liveness`.

/// When a node was last heard of. Read and written as one 64-bit word.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Liveness {
    /// Send time of the last probe that it answered, by the probe clock; in the cell of the clock, the clock
    /// itself.
    pub last_seen: u32,
    /// One of `LIVENESS_*`.
    pub state: u32,
}

/// [`Liveness::state`]: the node takes new flows.
pub const LIVENESS_UP: u32 = 0;
/// [`Liveness::state`]: the node replied AdminDown: it drains.
pub const LIVENESS_ADMIN_DOWN: u32 = 1;

impl Liveness {
    /// Returns the cell as one word, as in memory.
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        let ([a, b, c, d], [e, f, g, h]) = (self.last_seen.to_ne_bytes(), self.state.to_ne_bytes());
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }

    /// Returns the cell of one word, as in memory.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
        Self { last_seen: u32::from_ne_bytes([a, b, c, d]), state: u32::from_ne_bytes([e, f, g, h]) }
    }

    /// Returns the ticks since the last answered probe.
    #[inline(always)]
    pub const fn silence(self, clock: u32) -> u32 {
        // A stamp may be newer than the clock that was read.
        let ticks = clock.wrapping_sub(self.last_seen);
        if ticks > u32::MAX / 2 { 0 } else { ticks }
    }
}
