//! A director's own connection table, which evicts the least recently used entry.

use lb_common::ring::NodeIndex;

use crate::simulation::Tick;

/// Entries of a set.
const WAYS: usize = 8;

/// A connection; the entry is empty if `used` is zero.
#[derive(Clone, Copy, Default)]
struct Place {
    tag: u32,
    used: Tick,
    node: NodeIndex,
}

/// The node of each connection. As in a real table, the least recently used entry of a small set is evicted,
/// not that of the whole table.
#[derive(Clone, Default)]
pub(super) struct Connections {
    sets: Vec<[Place; WAYS]>,
}

impl Connections {
    /// Creates an empty table; `sets` is a power of two.
    pub(super) fn new(sets: usize) -> Self {
        Self { sets: vec![[Place::default(); WAYS]; sets] }
    }

    /// Returns the node of a connection.
    pub(super) fn get(&self, hash: u64) -> Option<NodeIndex> {
        let set = self.sets.get(self.set(hash))?;
        set.iter().find(|place| place.used > 0 && place.tag == tag(hash)).map(|place| place.node)
    }

    /// Records the node of a connection, and that it was used now.
    pub(super) fn put(&mut self, hash: u64, node: NodeIndex, now: Tick) {
        let at = self.set(hash);
        let Some(set) = self.sets.get_mut(at) else { return };
        let own = set.iter().position(|place| place.used > 0 && place.tag == tag(hash));
        let longest_silent = || (0..WAYS).min_by_key(|at| set[*at].used).unwrap_or_default();
        let at = own.unwrap_or_else(longest_silent);
        set[at] = Place { tag: tag(hash), used: now + 1, node };
    }

    /// Returns the number of connections.
    pub(super) fn len(&self) -> u64 {
        self.sets.iter().flatten().filter(|place| place.used > 0).count() as u64
    }

    fn set(&self, hash: u64) -> usize {
        (hash >> 12) as usize & self.sets.len().wrapping_sub(1)
    }
}

const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}
