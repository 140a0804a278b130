//! The table of flows that a node owns or has delegated: eight ways a set, a set a cache line.
//!
//! ```text
//! way  | tag 32 | node 16 | state 2 | age 14 |     all zero: empty
//! ```
//!
//! Two flows that share set and tag share a way; that is one in 2^32 for each pair in a set, and its price is
//! one flow that takes a detour. Ways are plain 64-bit loads and stores without a lock: two CPUs that write
//! one set at the same time lose one of the writes, which the next packet of that flow makes up for.
//!
//! Nothing here expires by time. Who has to go when a set is full is decided by [`FlowSet::put`]:
//! half-open flows are confined to [`HALF_OPEN_WAYS`] ways and the others to the rest, so that a flood of
//! SYNs, however large, pushes out nothing but SYNs.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::ring::{NO_NODE, NodeIndex};

/// Ways of a set.
pub const WAYS: usize = 8;
/// Ways that half-open flows may hold.
pub const HALF_OPEN_WAYS: usize = 2;
/// Bits of [`Entry::age`].
pub const AGE_BITS: u32 = 14;
const AGE_MASK: u64 = (1 << AGE_BITS) - 1;

/// How far a flow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A SYN has been seen, and nothing after it.
    HalfOpen,
    /// More than that; UDP flows always.
    Open,
    /// A FIN or RST has been seen.
    Closed,
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who has it: this node's own index for a flow that it owns, another's for one that it has delegated.
    pub node: NodeIndex,
    /// How far it has come.
    pub standing: Standing,
    /// When it last sent something, in units of the caller's coarse clock; only the lowest 14 bits are kept.
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
#[derive(Debug, Default)]
pub struct FlowSet<W = AtomicU64> {
    /// The ways.
    pub ways: [W; WAYS],
}

const _: () = assert!(size_of::<FlowSet>() == 64);

impl<W: Word> FlowSet<W> {
    /// What is known of the flow with this tag.
    #[inline(always)]
    pub fn get(&self, tag: u32) -> Option<Entry> {
        Entry::from_bits(self.get_bits(tag))
    }

    /// The same, packed as by [`Entry::to_bits`]; 0 for nothing. [`holder`] and [`is_closed`] read it.
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

    /// Notes a flow, in its own way if it has one, else in the way of whoever has to go.
    #[inline(always)]
    pub fn put(&self, tag: u32, entry: Entry) {
        let word = pack(tag, entry);
        let mut survey = Survey { own: 0, halves: 0, opens: 0, free: 0, rival: 0 };
        for way in &self.ways {
            survey.see(way.load(), tag, entry);
        }
        let place = survey.place(entry.standing);
        let mut stored = false;
        for way in &self.ways {
            let held = way.load();
            let chosen = match place {
                Place::Own => is_own(held, tag),
                Place::Free => free_score(held, entry) == survey.free,
                Place::Rival => rival_score(held, tag, entry) == survey.rival,
                Place::Nowhere => false,
            };
            if chosen && !stored {
                way.store(word);
                stored = true;
            } else if is_own(held, tag) {
                way.store(0);
            }
        }
    }
}

/// What a look at all ways has found, for one entry.
///
/// It holds numbers and no places, and adds without asking: the verifier follows every branch with every
/// place that it could have remembered, and eight ways have too many of them.
struct Survey {
    /// 0: the flow has no way. Else the way's standing, as it is packed.
    own: u64,
    /// Half-open flows, others' than this one.
    halves: u64,
    /// Open flows, others' than this one.
    opens: u64,
    /// The best [`free_score`].
    free: u64,
    /// The best [`rival_score`].
    rival: u64,
}

/// Where an entry goes.
#[derive(Clone, Copy)]
enum Place {
    /// Its own way.
    Own,
    /// An empty way, or the longest silent closed flow's.
    Free,
    /// That of the longest silent flow of the same standing.
    Rival,
    /// Nobody has to go for it.
    Nowhere,
}

impl Survey {
    #[inline(always)]
    fn see(&mut self, held: u64, tag: u32, entry: Entry) {
        let standing = standing_bits(held);
        if is_own(held, tag) {
            self.own = standing;
        } else {
            self.halves += standing & !(standing >> 1) & 1;
            self.opens += (standing >> 1) & !standing & 1;
        }
        self.free = self.free.max(free_score(held, entry));
        self.rival = self.rival.max(rival_score(held, tag, entry));
    }

    #[inline(always)]
    fn place(&self, standing: Standing) -> Place {
        let room = match standing {
            Standing::HalfOpen => self.halves < HALF_OPEN_WAYS as u64,
            Standing::Open => self.opens < (WAYS - HALF_OPEN_WAYS) as u64,
            Standing::Closed => true,
        };
        // In its own way a flow that stays what it is takes up no more than before.
        if self.own != 0 && (room || self.own == bits(standing)) {
            Place::Own
        } else if room && self.free != 0 {
            Place::Free
        } else if !room && self.rival != 0 {
            Place::Rival
        } else {
            Place::Nowhere
        }
    }
}

/// Whether the way is this flow's.
#[inline(always)]
const fn is_own(held: u64, tag: u32) -> bool {
    (held >> 32) as u32 == tag && standing_bits(held) != 0
}

/// How much an entry silences the flow of a way, in units of its clock.
#[inline(always)]
fn silence(held: u64, entry: Entry) -> u64 {
    u64::from(entry.age.wrapping_sub(held as u16)) & AGE_MASK
}

/// 0: the way is in use. Else how free it is: empty most of all, then closed the longest.
#[inline(always)]
fn free_score(held: u64, entry: Entry) -> u64 {
    match standing_bits(held) {
        0 => AGE_MASK + 2,
        3 => silence(held, entry) + 1,
        _ => 0,
    }
}

/// 0: the way is not held by another flow of the same standing. Else how long that one has been silent.
#[inline(always)]
fn rival_score(held: u64, tag: u32, entry: Entry) -> u64 {
    if standing_bits(held) == bits(entry.standing) && !is_own(held, tag) {
        silence(held, entry) + 1
    } else {
        0
    }
}

#[inline(always)]
const fn standing_bits(word: u64) -> u64 {
    (word >> AGE_BITS) & 3
}

#[inline(always)]
const fn bits(standing: Standing) -> u64 {
    match standing {
        Standing::HalfOpen => 1,
        Standing::Open => 2,
        Standing::Closed => 3,
    }
}

impl Entry {
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

/// Whether the flow of a packed entry is over.
#[inline(always)]
pub const fn is_closed(packed: u32) -> bool {
    standing_bits(packed as u64) == bits(Standing::Closed)
}

#[inline(always)]
fn pack(tag: u32, entry: Entry) -> u64 {
    u64::from(tag) << 32
        | u64::from(entry.node) << 16
        | bits(entry.standing) << AGE_BITS
        | u64::from(entry.age) & AGE_MASK
}

#[inline(always)]
fn unpack(word: u64) -> Option<Entry> {
    let standing = match standing_bits(word) {
        0 => return None,
        1 => Standing::HalfOpen,
        2 => Standing::Open,
        _ => Standing::Closed,
    };
    Some(Entry { node: (word >> 16) as u16, standing, age: (word & AGE_MASK) as u16 })
}

#[cfg(test)]
mod tests;
