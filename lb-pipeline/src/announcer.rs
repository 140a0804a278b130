//! The announcer of a VIP on the local network: the first of its ranked nodes that is live.
//!
//! All nodes decide alike, because they decide by common knowledge: the ranks follow from the objects, and a
//! node says in its replies to probes whether it drains and what its [`Standing`] is. A node that was dead
//! for a stable node, and does not say yet that it has returned, is held: it counts as returned. The replies
//! of the stable node say so, and the held node then counts itself as returned, so that both agree.
//!
//! The agent decides by the same function which addresses it announces unasked.

use core::sync::atomic::AtomicU64;

use lb_common::flows::Word;
use lb_common::maps::{Announcer, Config, Liveness, RANKS, Standing};
use lb_common::ring::{NO_NODE, NodeIndex};

use crate::tables::{Tables, standing};

/// What this node knows of itself as an announcer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnStanding {
    /// Its index.
    pub node: NodeIndex,
    /// Whether it drains.
    pub is_draining: bool,
    /// What it says of itself.
    pub standing: Standing,
}

/// What this node knows of another one as an announcer, as a number: the verifier follows every path to a
/// structure with several values.
///
/// ```text
/// | 0 … | holds this node 1 | class 3: drains 1, standing 2 |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncerState(u32);

/// Bits of a class, and of a rank.
const CLASS_BITS: u32 = 3;
const CLASS_MASK: u32 = (1 << CLASS_BITS) - 1;
const _: () = assert!(RANKS == 1 << CLASS_BITS);

impl AnnouncerState {
    /// A dead node.
    pub const DEAD: Self = Self(Standing::Absent as u32);

    /// Returns the state of a live node by its cell.
    #[inline(always)]
    pub const fn of_live(cell: Liveness) -> Self {
        let number = cell.standing_number();
        // Only a stable node holds others, and none that calls itself returned or absent is held. Without
        // branches: a held node is returned.
        let held = cell.is_held() as u32;
        let standing = number & !(held * Standing::Ready as u32) | held;
        let is_stable = number.wrapping_sub(1) >> 31;
        let holds = cell.holds_this() as u32 & is_stable;
        Self((cell.is_draining() as u32) << 2 | standing | holds << CLASS_BITS)
    }

    /// Returns the number.
    #[inline(always)]
    pub const fn to_number(self) -> u32 {
        self.0
    }

    /// Returns the state of a number.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// Returns the node that announces an address with these ranks, as seen by this node; [`NO_NODE`] if there is
/// none. `state` may be called for every rank, this node included.
pub fn first_live(
    ranks: [NodeIndex; RANKS],
    own: OwnStanding,
    state: impl Fn(NodeIndex) -> AnnouncerState,
) -> NodeIndex {
    let state = |node| if node == NO_NODE { AnnouncerState::DEAD } else { state(node) };
    let Places { own, others } = places::<AtomicU64>(&ranks, own, state);
    match own | others {
        0 => NO_NODE,
        places => ranks[places.trailing_zeros() as usize % RANKS],
    }
}

/// Sets of live nodes as bits: a node of class c at rank r is bit 8c + r. The lowest bit announces. A
/// draining node would soon have to hand over what it announces, so its class comes behind.
struct Places {
    own: u64,
    others: u64,
}

/// The bits of a class.
const fn class(standing: Standing) -> u64 {
    0xff << (8 * standing as u32)
}

/// The nodes that announce nothing, draining or not.
const ABSENT: u64 = class(Standing::Absent) | class(Standing::Absent) << 32;

impl Places {
    /// Moves nodes that are ready to the class that they count as.
    #[inline(always)]
    fn with_ready<W: Word>(self) -> Self {
        let returned = (self.own | self.others) & class(Standing::Returned);
        // 8 if a node is returned, else 0.
        let shift = W::opaque(0u64.wrapping_sub(returned) >> 63) * 8;
        let moved = |places: u64| {
            let ready = (places & class(Standing::Ready)) >> 16;
            places & !class(Standing::Ready) | ready << shift
        };
        Self { own: moved(self.own), others: moved(self.others) }
    }
}

/// Without branches, of which the verifier would follow every combination.
#[inline(always)]
fn places<W: Word>(
    ranks: &[NodeIndex; RANKS],
    own: OwnStanding,
    state: impl Fn(NodeIndex) -> AnnouncerState,
) -> Places {
    let (mut others, mut own_rank, mut holds) = (0, 0, 0);
    for (rank, node) in (0..).zip(*ranks) {
        // 1 for this node, else 0.
        let is_own = W::opaque(u64::from(node ^ own.node).wrapping_sub(1) >> 63);
        own_rank |= is_own << rank;
        let number = u64::from(state(node).0);
        holds |= number >> CLASS_BITS & 1 & !is_own;
        others |= (1 - is_own) << ((number & u64::from(CLASS_MASK)) * 8 + rank);
    }
    let class_of_own = u64::from(own.is_draining) << 2 | own.standing as u64;
    let own = held::<W>(own_rank << (class_of_own * 8), holds);
    Places { own: own & !ABSENT, others: others & !ABSENT }.with_ready::<W>()
}

/// Moves the bit of this node to the class of returned nodes if another one holds it.
#[inline(always)]
fn held<W: Word>(place: u64, holds: u64) -> u64 {
    let stable = class(Standing::Stable) | class(Standing::Stable) << 32;
    let ready = class(Standing::Ready) | class(Standing::Ready) << 32;
    let holds = W::opaque(0u64.wrapping_sub(holds));
    let (stable, ready) = (place & stable & holds, place & ready & holds);
    place & !(stable | ready) | stable << 8 | ready >> 8
}

/// Returns what this node knows of another one as an announcer.
#[inline(always)]
pub fn announcer_state<T: Tables>(tables: &T, node: NodeIndex) -> AnnouncerState {
    let Some(config) = tables.config() else { return AnnouncerState::DEAD };
    // There is no cell of a rank without a node.
    let Some(cell) = tables.liveness(node) else { return AnnouncerState::DEAD };
    if config.liveness_limit == 0 {
        return AnnouncerState::of_live(Liveness { last_seen: 0, state: 0 });
    }
    if cell.silence(tables.clock()) < config.liveness_limit {
        AnnouncerState::of_live(cell)
    } else {
        AnnouncerState::DEAD
    }
}

/// Returns whether this node answers for an address: it is the first live rank. `state` is called for every
/// rank.
#[inline(always)]
pub(crate) fn is_announced_here<T: Tables>(
    tables: &T,
    config: &Config,
    announcer: &Announcer,
    state: impl Fn(NodeIndex) -> AnnouncerState,
) -> bool {
    let (node, is_draining) = (config.self_node, config.is_draining());
    let own = OwnStanding { node, is_draining, standing: standing(tables, config) };
    let Places { own, others } = places::<T::Word>(&announcer.ranks, own, state);
    own != 0 && others & own.wrapping_sub(1) == 0
}

#[cfg(test)]
mod tests;
