//! The announcer of a VIP on the local network: the first of its ranked nodes that is live.
//!
//! All nodes decide alike, because they decide by common knowledge: the ranks follow from the objects, and a
//! node says in its replies to probes whether it drains and what its [`Standing`] is. A node that was dead for
//! this node, and does not say yet that it has returned, is held: it counts as returned. The replies of this
//! node say so, and the held node then counts itself as returned, so that both agree.
//!
//! The agent decides by the same function which addresses it announces unasked.

use core::sync::atomic::AtomicU64;

use lb_common::flows::Word;
use lb_common::maps::{Announcer, Liveness, RANKS, Standing};
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_common::verdict::Refusal;

use crate::subprograms::TableSubprograms;
use crate::tables::{Tables, configured};

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
/// | 0 … | holds this node 1 | preference 8 |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncerState(u32);

/// The preference of a node that announces nothing.
const NEVER: u32 = 0xff;
const PREFERENCE_BITS: u32 = 8;
/// Bits of a rank, below the preference: the lowest sum of both is the best.
const PLACE_BITS: u32 = 3;
const _: () = assert!(RANKS == 1 << PLACE_BITS);

impl AnnouncerState {
    /// A dead node.
    pub const DEAD: Self = Self(NEVER);

    /// Returns the state of a live node by its cell.
    #[inline(always)]
    pub const fn of_live(cell: Liveness) -> Self {
        let standing = cell.standing();
        let is_held = matches!(standing, Standing::Stable) && cell.is_held();
        let standing = if is_held { Standing::Returned } else { standing };
        // Only a stable node holds others.
        let holds = cell.holds_this() && matches!(cell.standing(), Standing::Stable);
        Self(preference(cell.is_draining(), standing) | (holds as u32) << PREFERENCE_BITS)
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

/// Returns the preference for a node; the lowest is the best. A draining node would soon have to hand over
/// what it announces.
#[inline(always)]
const fn preference(is_draining: bool, standing: Standing) -> u32 {
    match standing {
        Standing::Stable => is_draining as u32 * 2,
        Standing::Returned => is_draining as u32 * 2 + 1,
        Standing::Absent => NEVER,
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
    let Keys { own, others } = keys::<AtomicU64>(&ranks, own, state);
    let best = own.min(others);
    if best >= ABSENT {
        return NO_NODE;
    }
    ranks.get(best as usize % RANKS).copied().unwrap_or(NO_NODE)
}

/// The sum of preference and rank: of this node, and the lowest of the others.
struct Keys {
    own: u64,
    others: u64,
}

/// The lowest key of a node that announces nothing.
const ABSENT: u64 = (NEVER as u64) << PLACE_BITS;

/// Without branches, of which the verifier would follow every combination.
#[inline(always)]
fn keys<W: Word>(
    ranks: &[NodeIndex; RANKS],
    own: OwnStanding,
    state: impl Fn(NodeIndex) -> AnnouncerState,
) -> Keys {
    let (mut others, mut own_place, mut holds) = (ABSENT, 0, 0);
    for (place, node) in (0..).zip(*ranks) {
        // 1 for this node, else 0.
        let is_own = W::opaque(u64::from(node ^ own.node).wrapping_sub(1) >> 63);
        own_place |= is_own * (place + 1);
        let number = u64::from(state(node).0);
        holds |= number >> PREFERENCE_BITS & 1 & !is_own;
        let key = (number & u64::from(NEVER)) << PLACE_BITS | place | is_own * ABSENT;
        // All ones if the key is lower, else zero.
        let is_lower = W::opaque(0u64.wrapping_sub(key.wrapping_sub(others) >> 63));
        others = key & is_lower | others & !is_lower;
    }
    if own_place == 0 {
        return Keys { own: u64::MAX, others };
    }
    let standing = match own.standing {
        Standing::Stable if holds != 0 => Standing::Returned,
        standing => standing,
    };
    let preference = u64::from(preference(own.is_draining, standing));
    Keys { own: preference << PLACE_BITS | (own_place - 1), others }
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

/// Returns whether this node answers for an address: it is the first live rank.
///
/// # Errors
/// [`Refusal::NotConfigured`].
#[inline(always)]
pub(crate) fn is_announced_here<T: TableSubprograms>(
    tables: &T,
    announcer: &Announcer,
) -> Result<bool, Refusal> {
    let config = configured(tables)?;
    let (node, is_draining) = (config.self_node, config.is_draining());
    let own = OwnStanding { node, is_draining, standing: config.standing() };
    let keys = keys::<T::Word>(&announcer.ranks, own, |node| tables.announcer_state(node));
    Ok(keys.own < keys.others && keys.own < ABSENT)
}

#[cfg(test)]
mod tests;
