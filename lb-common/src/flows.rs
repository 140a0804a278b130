//! The table of flows that a node owns or has delegated: eight ways a set, a set a cache line.
//!
//! ```text
//! way  | tag 32 | node 16 | state 3 | age 13 |     all zero: empty
//! ```
//!
//! The table is a cache: without its entry, the owner rule finds a flow by a detour. So an entry is worth the
//! cost of that detour, and this decides the shares of a set: entries that a stranger can create
//! ([`FlowState::is_unproven`]) have [`UNPROVEN_WAYS`] ways and never evict others; UDP has at most
//! [`UDP_WAYS`] of the rest and yields to TCP; of confirmed TCP flows, those that only other nodes could find
//! ([`FlowState::Moved`]) are evicted last. An entry that has been idle for [`STALE`] units may be evicted by
//! any other.
//!
//! Two flows with the same set and tag share a way. This happens once in 2^32 pairs of a set and costs one
//! flow a detour. Ways are plain 64-bit loads and stores without a lock: if two CPUs write a set at the same
//! time, one write is lost, and the next packet of that flow repeats it.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::ring::{NO_NODE, NodeIndex};

/// Ways of a set.
pub const WAYS: usize = 8;
/// Ways reserved for unproven flows, which get no others.
pub const UNPROVEN_WAYS: usize = 2;
/// Maximum of the other ways that UDP flows hold.
pub const UDP_WAYS: usize = 2;
/// Bits of [`FlowEntry::age`].
pub const AGE_BITS: u32 = 13;
/// Idle time after which any flow may evict an entry, in units of 17.2 s: two hours and a quarter, slightly
/// more than the two hours of TCP keepalive.
pub const STALE: u16 = 472;
const AGE_MASK: u64 = (1 << AGE_BITS) - 1;

/// The state of a flow, by the evidence for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FlowState {
    /// A SYN, and nothing since.
    HalfOpen = 1,
    /// Only packets that a stranger could have sent: a segment of an unknown flow, the first datagram, or a
    /// flow delegated to a node that has not confirmed it.
    Unconfirmed = 2,
    /// A UDP flow of more than one datagram.
    Udp = 3,
    /// A confirmed TCP flow at the leader of its slot, where it is found without an entry.
    Open = 4,
    /// A confirmed TCP flow at another node than the leader: without this entry, others must be asked.
    Moved = 5,
    /// A FIN or RST was seen.
    Closed = 6,
}

impl FlowState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::HalfOpen, Self::Unconfirmed, Self::Udp, Self::Open, Self::Moved, Self::Closed];

    /// Returns its name, as a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HalfOpen => "half_open",
            Self::Unconfirmed => "unconfirmed",
            Self::Udp => "udp",
            Self::Open => "open",
            Self::Moved => "moved",
            Self::Closed => "closed",
        }
    }

    /// Returns the state with this number; `None` if there is none.
    pub const fn from_number(number: u32) -> Option<Self> {
        Self::of(number as u64)
    }

    /// Returns whether a stranger who only sends can bring a flow into this state.
    #[inline(always)]
    pub const fn is_unproven(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Unconfirmed)
    }

    #[inline(always)]
    const fn bits(self) -> u64 {
        self as u64
    }

    #[inline(always)]
    const fn of(bits: u64) -> Option<Self> {
        Some(match bits {
            1 => Self::HalfOpen,
            2 => Self::Unconfirmed,
            3 => Self::Udp,
            4 => Self::Open,
            5 => Self::Moved,
            6 => Self::Closed,
            _ => return None,
        })
    }
}

/// An entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowEntry {
    /// The holder: this node for a flow that it owns, another one for a flow that it has delegated.
    pub node: NodeIndex,
    /// The state of the flow.
    pub state: FlowState,
    /// When the flow was last seen, in units of a coarse clock; only the lowest 13 bits are kept.
    pub age: u16,
}

/// The place of a flow in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// Set number, before the mask of the table.
    pub set: u32,
    /// Tag within the set.
    pub tag: u32,
}

impl FlowKey {
    /// Returns the key of a flow hash. Rings use the lowest bits, the set others, the tag the upper half.
    #[inline(always)]
    pub const fn of(hash: u64) -> Self {
        Self { set: (hash >> 12) as u32, tag: (hash >> 32) as u32 }
    }
}

/// A 64-bit word that others read and write at the same time.
///
/// In user space, an atomic. The BPF target has no atomic loads, only loads that are atomic in effect, so the
/// program has a type of its own.
pub trait Word {
    /// Loads the word.
    fn load(&self) -> u64;
    /// Stores the word.
    fn store(&self, value: u64);
    /// Returns the same number, but hides its origin from the compiler, which could otherwise turn arithmetic
    /// into branches.
    #[inline(always)]
    fn opaque(value: u64) -> u64 {
        value
    }
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        Self::load(self, Ordering::Relaxed)
    }

    fn store(&self, value: u64) {
        Self::store(self, value, Ordering::Relaxed);
    }
}

/// A set: 64 bytes, one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowSet<W = AtomicU64> {
    /// The ways.
    pub ways: [W; WAYS],
}

const _: () = assert!(size_of::<FlowSet>() == 64);

impl<W: Word> FlowSet<W> {
    /// Returns the entry of the flow with this tag.
    #[inline(always)]
    pub fn get(&self, tag: u32) -> Option<FlowEntry> {
        FlowEntry::from_bits(self.get_bits(tag))
    }

    /// Returns the entry as [`FlowEntry::to_bits`] packs it, or 0; read it with [`holder`] and [`state`].
    ///
    /// An `Option` leaves its content undefined for `None`, and the verifier rejects even a copy of that.
    #[inline(always)]
    pub fn get_bits(&self, tag: u32) -> u32 {
        // Without a branch: the way cannot be predicted, and a wrong guess stalls until the set has arrived
        // from memory.
        let mut bits = 0;
        for way in &self.ways {
            let word = way.load();
            let differs = W::opaque((word >> 32) ^ u64::from(tag));
            let hit = differs.wrapping_sub(1) >> 63;
            bits |= word * hit;
        }
        bits as u32
    }

    /// Records a flow: in its own way if its class has room, else in a free way, else in the way of the entry
    /// to evict. If no entry may be evicted for it, nothing changes. Returns the number of the state of the
    /// evicted entry of another flow, [`FlowState::Closed`] if it was stale; 0 if there was none.
    #[inline(always)]
    pub fn put(&self, tag: u32, entry: FlowEntry) -> u64 {
        let mut census = Census::default();
        let mut own_at = 0;
        let mut place = 0;
        while place < WAYS as u64 {
            let held = Held::of::<W>(self.way(place).load(), tag, entry);
            census.count(held);
            own_at |= held.own * (place + 1);
            place = W::opaque(place + 1);
        }
        let ranks = census.ranks(entry.state);
        let mut best = 0;
        place = 0;
        while place < WAYS as u64 {
            let score = Held::of::<W>(self.way(place).load(), tag, entry).score(ranks) << 3 | place;
            best = greater::<W>(best, score);
            place = W::opaque(place + 1);
        }
        if best < WAYS as u64 {
            return 0;
        }
        let before = self.way(best).load();
        let evicted = Held::of::<W>(before, tag, entry);
        if own_at != 0 {
            self.way(own_at - 1).store(0);
        }
        self.way(best).store(pack(tag, entry));
        // An empty way counts as stale, too.
        is_held(before) * select(evicted.own, EMPTY, evicted.state)
    }

    /// Returns the way with the number in the lowest three bits.
    #[inline(always)]
    const fn way(&self, place: u64) -> &W {
        &self.ways[(place & (WAYS as u64 - 1)) as usize]
    }
}

/// A way of a set, as seen by the flow to record.
///
/// Everything here is arithmetic: the verifier follows each branch with all register states, and eight ways
/// have too many of them. Truth values are the numbers 0 and 1.
#[derive(Clone, Copy)]
struct Held {
    /// 1 if it is the flow's own way.
    own: u64,
    /// The number of its state; 0 if it is empty, [`FlowState::Closed`] if it is stale.
    state: u64,
    /// Its idle time.
    silence: u64,
}

/// Where [`Ranks`] keep the rank of the flow's own way: behind all standings.
const OWN_WAY: u64 = 7;

impl Held {
    #[inline(always)]
    fn of<W: Word>(word: u64, tag: u32, entry: FlowEntry) -> Self {
        let own = (W::opaque((word >> 32) ^ u64::from(tag)).wrapping_sub(1) >> 63) & is_held(word);
        let silence = u64::from(entry.age.wrapping_sub(word as u16)) & AGE_MASK;
        let stale = W::opaque(u64::from(STALE).wrapping_sub(silence)) >> 63;
        Self { own, state: select(stale, FlowState::Closed.bits(), state_bits(word)), silence }
    }

    /// Returns its score for eviction: by rank, then by idle time; 0 if it may not be evicted.
    #[inline(always)]
    const fn score(self, ranks: Ranks) -> u64 {
        let rank = (ranks >> (4 * select(self.own, OWN_WAY, self.state))) & 0xf;
        let goes = (rank + 0xf) >> 4;
        (rank << AGE_BITS | self.silence) * goes
    }
}

/// `yes` where `which` is 1, `no` where it is 0.
#[inline(always)]
const fn select(which: u64, yes: u64, no: u64) -> u64 {
    which * yes + (1 - which) * no
}

#[inline(always)]
fn greater<W: Word>(a: u64, b: u64) -> u64 {
    let less = 0u64.wrapping_sub(W::opaque(a.wrapping_sub(b)) >> 63);
    a ^ ((a ^ b) & less)
}

/// The number of ways that other flows hold in a set, by class: four bits each.
#[derive(Default)]
struct Census {
    counts: u64,
}

/// Eviction ranks of ways by their state, four bits each; 0: not evicted.
type Ranks = u64;

/// Rank of the flow's own way, above all others.
const OWN: u64 = 8;
const EMPTY: u64 = 0;

const UNPROVEN: u64 = 4;
const UDP: u64 = 8;
const CONFIRMED: u64 = 12;
/// The place of each state in [`Census::counts`], four bits each. Free ways are counted in an unused place.
const CLASSES: u64 = CONFIRMED << (4 * FlowState::Open.bits())
    | CONFIRMED << (4 * FlowState::Moved.bits())
    | UDP << (4 * FlowState::Udp.bits())
    | UNPROVEN << (4 * FlowState::HalfOpen.bits())
    | UNPROVEN << (4 * FlowState::Unconfirmed.bits());

#[inline(always)]
const fn rank(state: u64, rank: u64) -> Ranks {
    rank << (4 * state)
}

impl Census {
    #[inline(always)]
    const fn count(&mut self, held: Held) {
        let class = (CLASSES >> (4 * held.state)) & 0xf;
        self.counts += (1 - held.own) << class;
    }

    #[inline(always)]
    const fn of(&self, class: u64) -> u64 {
        (self.counts >> class) & 0xf
    }

    /// Returns the ways that a flow in this state may evict, as ranks.
    #[inline(always)]
    const fn ranks(&self, state: FlowState) -> Ranks {
        let rest = self.of(UDP) + self.of(CONFIRMED);
        let has_room = match state {
            FlowState::HalfOpen | FlowState::Unconfirmed => self.of(UNPROVEN) < UNPROVEN_WAYS as u64,
            FlowState::Udp => self.of(UDP) < UDP_WAYS as u64 && rest < (WAYS - UNPROVEN_WAYS) as u64,
            FlowState::Open | FlowState::Moved => rest < (WAYS - UNPROVEN_WAYS) as u64,
            FlowState::Closed => true,
        };
        if has_room {
            return rank(EMPTY, 7) | rank(FlowState::Closed.bits(), 6) | rank(OWN_WAY, OWN);
        }
        match state {
            FlowState::HalfOpen | FlowState::Unconfirmed => {
                rank(FlowState::HalfOpen.bits(), 1) | rank(FlowState::Unconfirmed.bits(), 1)
            }
            FlowState::Udp => rank(FlowState::Udp.bits(), 1),
            FlowState::Open => rank(FlowState::Udp.bits(), 3) | rank(FlowState::Open.bits(), 2),
            FlowState::Moved | FlowState::Closed => {
                rank(FlowState::Udp.bits(), 3)
                    | rank(FlowState::Open.bits(), 2)
                    | rank(FlowState::Moved.bits(), 1)
            }
        }
    }
}

/// 1 if the way is not empty.
#[inline(always)]
const fn is_held(word: u64) -> u64 {
    (state_bits(word) + 7) >> 3
}

#[inline(always)]
const fn state_bits(word: u64) -> u64 {
    (word >> AGE_BITS) & 7
}

impl FlowEntry {
    /// Returns the lower half of a way.
    #[inline(always)]
    pub fn to_bits(self) -> u32 {
        pack(0, self) as u32
    }

    /// Returns the entry in the lower half of a way; `None` if it is empty.
    #[inline(always)]
    pub fn from_bits(bits: u32) -> Option<Self> {
        unpack(u64::from(bits))
    }
}

/// Returns the holder of a packed entry, or [`NO_NODE`].
#[inline(always)]
pub const fn holder(bits: u32) -> NodeIndex {
    if bits == 0 { NO_NODE } else { (bits >> 16) as NodeIndex }
}

/// Returns the number of the [`FlowState`] of a packed entry; 0 if there is none.
#[inline(always)]
pub const fn state(packed: u32) -> u32 {
    state_bits(packed as u64) as u32
}

/// Returns the age field of a packed entry.
#[inline(always)]
pub const fn age(packed: u32) -> u16 {
    (packed as u64 & AGE_MASK) as u16
}

/// Returns whether the flow of a packed entry is closed.
#[inline(always)]
pub const fn is_closed(packed: u32) -> bool {
    state(packed) == FlowState::Closed as u32
}

/// Returns whether the flow of a packed entry is confirmed, closed or not.
#[inline(always)]
pub const fn is_confirmed(packed: u32) -> bool {
    state(packed) > FlowState::Unconfirmed as u32
}

#[inline(always)]
fn pack(tag: u32, entry: FlowEntry) -> u64 {
    u64::from(tag) << 32
        | u64::from(entry.node) << 16
        | entry.state.bits() << AGE_BITS
        | u64::from(entry.age) & AGE_MASK
}

#[inline(always)]
fn unpack(word: u64) -> Option<FlowEntry> {
    let state = FlowState::of(state_bits(word))?;
    Some(FlowEntry { node: (word >> 16) as u16, state, age: (word & AGE_MASK) as u16 })
}

#[cfg(test)]
mod tests;
