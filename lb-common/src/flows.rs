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

use crate::ring::NodeIndex;

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

/// One set: 64 bytes, a cache line.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct FlowSet {
    /// The ways.
    pub ways: [AtomicU64; WAYS],
}

const _: () = assert!(size_of::<FlowSet>() == 64);

impl FlowSet {
    /// What is known of the flow with this tag.
    #[inline(always)]
    pub fn get(&self, tag: u32) -> Option<Entry> {
        let mut found = None;
        for way in &self.ways {
            let word = way.load(Ordering::Relaxed);
            if (word >> 32) as u32 == tag && found.is_none() {
                found = unpack(word);
            }
        }
        found
    }

    /// Notes a flow, in its own way if it has one, else in the way of whoever has to go.
    #[inline(always)]
    pub fn put(&self, tag: u32, entry: Entry) {
        let survey = self.survey(tag, entry);
        let word = pack(tag, entry);
        let at = survey.place();
        if survey.own < WAYS && survey.own != at {
            self.store(survey.own, 0);
        }
        self.store(at, word);
    }

    #[inline(always)]
    fn store(&self, at: usize, word: u64) {
        if let Some(way) = self.ways.get(at) {
            // A flow that goes on as before must not dirty its cache line with each packet.
            if way.load(Ordering::Relaxed) != word {
                way.store(word, Ordering::Relaxed);
            }
        }
    }

    /// Looks at all ways once, for the place of this entry.
    #[inline(always)]
    fn survey(&self, tag: u32, entry: Entry) -> Survey {
        let opening = entry.standing == Standing::HalfOpen;
        let over = entry.standing == Standing::Closed;
        let mut survey = Survey {
            over,
            own: WAYS,
            own_counts_already: over,
            free: Candidate::NONE,
            rival: Candidate::NONE,
            rivals: 0,
            share: if opening { HALF_OPEN_WAYS } else { WAYS - HALF_OPEN_WAYS },
        };
        for (at, way) in self.ways.iter().enumerate() {
            let word = way.load(Ordering::Relaxed);
            let silence = u32::from(entry.age.wrapping_sub(word as u16)) & AGE_MASK as u32;
            let Some(held) = unpack(word) else {
                survey.free.offer(at, u32::MAX);
                continue;
            };
            let of_the_kind = (held.standing == Standing::HalfOpen) == opening;
            if (word >> 32) as u32 == tag {
                survey.own = at;
                survey.own_counts_already |= of_the_kind && held.standing != Standing::Closed;
            } else if held.standing == Standing::Closed {
                survey.free.offer(at, silence);
            } else if of_the_kind {
                survey.rival.offer(at, silence);
                survey.rivals += 1;
            }
        }
        survey
    }
}

/// What a look at a set has found, for one entry.
struct Survey {
    /// The flow is over, and nobody has to go for it.
    over: bool,
    /// The flow's own way, or [`WAYS`].
    own: usize,
    /// Whether the entry can go there without taking one more of its share.
    own_counts_already: bool,
    /// An empty way, or the longest silent closed flow's.
    free: Candidate,
    /// The longest silent flow of the same share.
    rival: Candidate,
    rivals: usize,
    share: usize,
}

impl Survey {
    /// Where the entry goes: its own way, a free one, or in place of the longest silent flow of its share
    /// when that is used up; [`WAYS`] for nowhere.
    #[inline(always)]
    const fn place(&self) -> usize {
        let room = self.over || self.rivals < self.share;
        if self.own < WAYS && (self.own_counts_already || room) {
            self.own
        } else if room {
            self.free.at
        } else {
            self.rival.at
        }
    }
}

/// The best way so far for some purpose; `at` is [`WAYS`] while there is none.
struct Candidate {
    at: usize,
    silence: u32,
}

impl Candidate {
    const NONE: Self = Self { at: WAYS, silence: 0 };

    #[inline(always)]
    fn offer(&mut self, at: usize, silence: u32) {
        if self.at == WAYS || silence > self.silence {
            *self = Self { at, silence };
        }
    }
}

#[inline(always)]
fn pack(tag: u32, entry: Entry) -> u64 {
    let standing = match entry.standing {
        Standing::HalfOpen => 1,
        Standing::Open => 2,
        Standing::Closed => 3,
    };
    u64::from(tag) << 32
        | u64::from(entry.node) << 16
        | standing << AGE_BITS
        | u64::from(entry.age) & AGE_MASK
}

#[inline(always)]
fn unpack(word: u64) -> Option<Entry> {
    let standing = match (word >> AGE_BITS) & 3 {
        0 => return None,
        1 => Standing::HalfOpen,
        2 => Standing::Open,
        _ => Standing::Closed,
    };
    Some(Entry { node: (word >> 16) as u16, standing, age: (word & AGE_MASK) as u16 })
}

#[cfg(test)]
mod tests;
