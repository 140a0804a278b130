//! A director's own table of connections, which forgets the longest silent.

use lb_common::ring::NodeIndex;

use crate::simulation::Tick;

/// Places of a set.
const WAYS: usize = 8;

/// A connection, or an empty place if `used` is zero.
#[derive(Clone, Copy, Default)]
struct Place {
    tag: u32,
    used: Tick,
    node: NodeIndex,
}

/// Which node each connection was given to. As in a real one, the longest silent of a small set goes, rather
/// than the longest silent of all.
#[derive(Clone, Default)]
pub(super) struct Connections {
    sets: Vec<[Place; WAYS]>,
}

impl Connections {
    /// An empty table; `sets` is a power of two.
    pub(super) fn new(sets: usize) -> Self {
        Self { sets: vec![[Place::default(); WAYS]; sets] }
    }

    /// The node that a connection was given to.
    pub(super) fn get(&self, hash: u64) -> Option<NodeIndex> {
        let set = self.sets.get(self.set(hash))?;
        set.iter().find(|place| place.used > 0 && place.tag == tag(hash)).map(|place| place.node)
    }

    /// Notes that a connection is a node's, and has been used now.
    pub(super) fn put(&mut self, hash: u64, node: NodeIndex, now: Tick) {
        let at = self.set(hash);
        let Some(set) = self.sets.get_mut(at) else { return };
        let own = set.iter().position(|place| place.used > 0 && place.tag == tag(hash));
        let longest_silent = || (0..WAYS).min_by_key(|at| set[*at].used).unwrap_or_default();
        let at = own.unwrap_or_else(longest_silent);
        set[at] = Place { tag: tag(hash), used: now + 1, node };
    }

    fn set(&self, hash: u64) -> usize {
        (hash >> 12) as usize & self.sets.len().wrapping_sub(1)
    }
}

const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}
