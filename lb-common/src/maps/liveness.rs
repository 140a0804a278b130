//! The cells of `lb_liveness`.

/// When a node was last heard of, and what it said of itself. Read and written as one 64-bit word.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Liveness {
    /// Send time of the last probe that it answered, by the probe clock; in the cell of the clock, the clock
    /// itself.
    pub last_seen: u32,
    /// `LIVENESS_*` bits.
    pub state: u32,
}

/// [`Liveness::state`]: no bit is set: the node takes new flows and announces by its rank.
pub const LIVENESS_UP: u32 = 0;
/// [`Liveness::state`]: the node replied AdminDown: it drains.
pub const LIVENESS_ADMIN_DOWN: u32 = 1;
/// [`Liveness::state`]: the node was dead, and does not say yet that it has returned. It announces no address
/// that a node can announce which was not dead.
pub const LIVENESS_HELD: u32 = 2;
/// [`Liveness::state`]: the node says that it holds this node, which was dead.
pub const LIVENESS_HOLDS_THIS: u32 = 4;
/// [`Liveness::state`]: the node drains, and its agent has stopped: it is about to be shut down.
pub const LIVENESS_LEAVING: u32 = 8;
/// First of the bits of [`Liveness::state`] with the node's [`Standing`].
const STANDING_SHIFT: u32 = 4;
const STANDING_MASK: u32 = 3;

/// What a node says of itself as an announcer on the local network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Standing {
    /// It announces by its rank.
    #[default]
    Stable = 0,
    /// It has returned a short time ago, and announces only what no stable node can announce.
    Returned = 1,
    /// It has returned, and has waited for long enough to become stable. As long as a node with a rank of the
    /// same address is [`Self::Returned`], it counts as returned, else as stable. So nodes that have returned
    /// together become stable together, and an address moves once.
    Ready = 2,
    /// It announces nothing.
    Absent = 3,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 4] = [Self::Stable, Self::Returned, Self::Ready, Self::Absent];

    /// Returns the standing with this number; [`Standing::Absent`] if there is none.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::Returned,
            2 => Self::Ready,
            _ => Self::Absent,
        }
    }
}

impl Liveness {
    /// Returns the cell of a node that has not been heard of, and counts as alive until it is late.
    pub const fn of_new_node(clock: u32) -> Self {
        Self { last_seen: clock, state: Self::standing_bits(Standing::Absent) }
    }

    /// Returns whether the node has not been heard of since the map was made.
    pub const fn is_new(self) -> bool {
        self.last_seen == 0 && (self.state == 0 || self.state == Self::of_new_node(0).state)
    }

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

    /// Returns whether the node drains.
    #[inline(always)]
    pub const fn is_draining(self) -> bool {
        self.state & LIVENESS_ADMIN_DOWN != 0
    }

    /// Returns whether the node drains and is about to be shut down.
    #[inline(always)]
    pub const fn is_leaving(self) -> bool {
        const BOTH: u32 = LIVENESS_ADMIN_DOWN | LIVENESS_LEAVING;
        self.state & BOTH == BOTH
    }

    /// Returns whether this node holds the node, which was dead.
    #[inline(always)]
    pub const fn is_held(self) -> bool {
        self.state & LIVENESS_HELD != 0
    }

    /// Returns whether the node holds this node.
    #[inline(always)]
    pub const fn holds_this(self) -> bool {
        self.state & LIVENESS_HOLDS_THIS != 0
    }

    /// Returns what the node says of itself as an announcer.
    #[inline(always)]
    pub const fn standing(self) -> Standing {
        Standing::from_number(self.standing_number())
    }

    /// Returns the number of [`Self::standing`].
    #[inline(always)]
    pub const fn standing_number(self) -> u32 {
        self.state >> STANDING_SHIFT & STANDING_MASK
    }

    /// Returns the cell after a reply of the node, `heard`. A node that was dead for this node and does not
    /// say that it has returned does not know it: it is held until it says so. Only a node that is stable
    /// itself, and not alone, holds others: another one may have been away rather than they.
    #[inline(always)]
    pub const fn after(self, heard: Self, was_dead: bool, holds_others: bool) -> Self {
        let is_away = matches!(heard.standing(), Standing::Returned | Standing::Absent);
        // A node that is new to this one has announced nothing that another would have taken over.
        let has_returned = was_dead && !matches!(self.standing(), Standing::Absent);
        let is_held = (has_returned || self.is_held()) && !is_away && holds_others;
        let held = if is_held { LIVENESS_HELD } else { 0 };
        Self { last_seen: heard.last_seen, state: heard.state | held }
    }

    /// Returns the bits of a standing in [`Liveness::state`].
    #[inline(always)]
    pub const fn standing_bits(standing: Standing) -> u32 {
        (standing as u32) << STANDING_SHIFT
    }
}
