//! The table of flows that a node owns or has delegated: eight ways a set, a set a cache line.
//!
//! ```text
//! way  | tag 32 | node 16 | state 3 | age 13 |     all zero: empty
//! ```
//!
//! The table is a cache: the owner rule finds a flow without its entry, by a detour. So an entry
//! is worth what that detour costs, and the shares of a set follow from it: what only a stranger could have made
//! ([`FlowState::is_unproven`]) has [`UNPROVEN_WAYS`] ways and never pushes out anything else; UDP has at most
//! [`UDP_WAYS`] of the rest, and gives them up for TCP; among confirmed TCP flows, those that another node would have
//! to be asked for ([`FlowState::Moved`]) go last. What has been silent for [`STALE`] units makes room for anything.
//!
//! Two flows that share set and tag share a way; that is one in 2^32 for each pair in a set, and its price is
//! one flow that takes a detour. Ways are plain 64-bit loads and stores without a lock: two CPUs that write
//! one set at the same time lose one of the writes, which the next packet of that flow makes up for.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::ring::{NO_NODE, NodeIndex};

/// Ways of a set.
pub const WAYS: usize = 8;
/// Ways that unproven flows hold at most; nothing else takes them.
pub const UNPROVEN_WAYS: usize = 2;
/// Ways of the rest that UDP flows hold at most.
pub const UDP_WAYS: usize = 2;
/// Bits of [`FlowEntry::age`].
pub const AGE_BITS: u32 = 13;
/// Units of the clock of ages after which a silent flow makes room for any other: two hours and a quarter of
/// 17.2 s each, a little more than the two hours after which TCP asks whether the other end is still there.
pub const STALE: u16 = 472;
const AGE_MASK: u64 = (1 << AGE_BITS) - 1;

/// What is known of a flow's life, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FlowState {
    /// A SYN has been seen, and nothing after it.
    HalfOpen = 1,
    /// Something has been seen that a stranger could have sent, and nothing has confirmed it: a segment of an unknown
    /// flow, the first datagram, a node that has been asked and has not answered yet.
    Unconfirmed = 2,
    /// A UDP flow of more than one datagram.
    Udp = 3,
    /// A confirmed TCP flow at the node that leads its slot, where it is found again without an entry.
    Open = 4,
    /// A confirmed TCP flow away from the leader: without this entry others have to be asked for it.
    Moved = 5,
    /// A FIN or RST has been seen.
    Closed = 6,
}

impl FlowState {
    /// Whether a stranger who only sends could have brought a flow this far.
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

/// What is known of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowEntry {
    /// Who has it: this node's own index for a flow that it owns, another's for one that it has delegated.
    pub node: NodeIndex,
    /// How far it has come.
    pub state: FlowState,
    /// When it last sent something, in units of the caller's coarse clock; only the lowest 13 bits are kept.
    pub age: u16,
}

/// Where a flow is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// Set number before the table's mask.
    pub set: u32,
    /// Tag within the set.
    pub tag: u32,
}

impl FlowKey {
    /// The key of a flow hash. A ring takes the lowest bits, the set others, the tag the upper half.
    #[inline(always)]
    pub const fn of(hash: u64) -> Self {
        Self { set: (hash >> 12) as u32, tag: (hash >> 32) as u32 }
    }
}

/// 64 bits that others read and write at the same time, each time as a whole.
///
/// In user space an atomic. The BPF target has no atomic loads, only loads that happen to be; so the program
/// brings its own.
pub trait Word {
    /// What it holds.
    fn load(&self) -> u64;
    /// Makes it hold something else.
    fn store(&self, value: u64);
    /// The same number, of which the compiler does not know where it comes from: so it cannot make a branch
    /// of what is meant as arithmetic.
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

/// One set: 64 bytes, a cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowSet<W = AtomicU64> {
    /// The ways.
    pub ways: [W; WAYS],
}

const _: () = assert!(size_of::<FlowSet>() == 64);

impl<W: Word> FlowSet<W> {
    /// What is known of the flow with this tag.
    #[inline(always)]
    pub fn get(&self, tag: u32) -> Option<FlowEntry> {
        FlowEntry::from_bits(self.get_bits(tag))
    }

    /// The same, packed as by [`FlowEntry::to_bits`]; 0 for nothing. [`holder`] and [`state`] read it.
    ///
    /// An optional structure leaves its content open where there is none, and the verifier forbids to so
    /// much as move that about.
    #[inline(always)]
    pub fn get_bits(&self, tag: u32) -> u32 {
        // Without a branch: which way it is cannot be predicted, and while the set is still on its way from
        // memory the processor goes on with what can.
        let mut bits = 0;
        for way in &self.ways {
            let word = way.load();
            let differs = W::opaque((word >> 32) ^ u64::from(tag));
            let hit = differs.wrapping_sub(1) >> 63;
            bits |= word * hit;
        }
        bits as u32
    }

    /// Notes a flow: in its own way where its class has room there, else in a free way, else in the way of whoever
    /// has to go. Where nobody has to go for it, everything stays as it is.
    #[inline(always)]
    pub fn put(&self, tag: u32, entry: FlowEntry) {
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
            return;
        }
        if own_at != 0 {
            self.way(own_at - 1).store(0);
        }
        self.way(best).store(pack(tag, entry));
    }

    /// The way with the number in the lowest three bits.
    #[inline(always)]
    const fn way(&self, place: u64) -> &W {
        &self.ways[(place & (WAYS as u64 - 1)) as usize]
    }
}

/// A way of a set, as it looks to a flow that is to be noted.
///
/// Everything here is arithmetic: the verifier follows every branch with all that could be remembered, and eight ways
/// have too many of them. A number that is 0 or 1 stands for a truth.
#[derive(Clone, Copy)]
struct Held {
    /// 1: it is the flow's own way.
    own: u64,
    /// The number of its state, 0 for an empty one, [`FlowState::Closed`] for one that has been silent for too long.
    state: u64,
    /// For how long it has been silent.
    silence: u64,
}

/// Where [`Ranks`] keep the rank of the flow's own way: behind all standings.
const OWN_WAY: u64 = 7;

impl Held {
    #[inline(always)]
    fn of<W: Word>(word: u64, tag: u32, entry: FlowEntry) -> Self {
        let is_held = (state_bits(word) + 7) >> 3;
        let own = (W::opaque((word >> 32) ^ u64::from(tag)).wrapping_sub(1) >> 63) & is_held;
        let silence = u64::from(entry.age.wrapping_sub(word as u16)) & AGE_MASK;
        let stale = W::opaque(u64::from(STALE).wrapping_sub(silence)) >> 63;
        Self { own, state: select(stale, FlowState::Closed.bits(), state_bits(word)), silence }
    }

    /// How much sooner than others it goes: by rank, then by silence. 0: not at all.
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

/// How many ways of a set flows other than the one to be noted hold, by classes: four bits each.
#[derive(Default)]
struct Census {
    counts: u64,
}

/// Rank of a way by the state of what holds it, four bits each; 0: it does not go.
type Ranks = u64;

/// Rank of the flow's own way, above all others.
const OWN: u64 = 8;
const EMPTY: u64 = 0;

const UNPROVEN: u64 = 4;
const UDP: u64 = 8;
const CONFIRMED: u64 = 12;
/// By state, four bits each: where [`Census::counts`] count it. What is free is counted where nobody looks.
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

    /// Which ways may go for a flow of this state, and in which order.
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

#[inline(always)]
const fn state_bits(word: u64) -> u64 {
    (word >> AGE_BITS) & 7
}

impl FlowEntry {
    /// As the lower half of a way.
    #[inline(always)]
    pub fn to_bits(self) -> u32 {
        pack(0, self) as u32
    }

    /// Of the lower half of a way; `None` for an empty one.
    #[inline(always)]
    pub fn from_bits(bits: u32) -> Option<Self> {
        unpack(u64::from(bits))
    }
}

/// Who has the flow of a packed entry, or [`NO_NODE`].
#[inline(always)]
pub const fn holder(bits: u32) -> NodeIndex {
    if bits == 0 { NO_NODE } else { (bits >> 16) as NodeIndex }
}

/// How far the flow of a packed entry has come, as the number of a [`FlowState`]; 0 for nothing.
#[inline(always)]
pub const fn state(packed: u32) -> u32 {
    state_bits(packed as u64) as u32
}

/// When the flow of a packed entry was last noted.
#[inline(always)]
pub const fn age(packed: u32) -> u16 {
    (packed as u64 & AGE_MASK) as u16
}

/// Whether the flow of a packed entry is over.
#[inline(always)]
pub const fn is_closed(packed: u32) -> bool {
    state(packed) == FlowState::Closed as u32
}

/// Whether a packed entry is of a flow that has been confirmed, over or not.
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
