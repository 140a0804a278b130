//! A map that is looked into for keys in their order.

use std::collections::btree_map::{BTreeMap, Iter};
use std::iter::Peekable;

/// A map that is looked into for keys in their order. Nothing is searched for: of tens of thousands of entries, that
/// would be most of a plan's cost.
pub(crate) struct MergeCursor<'a, K, V> {
    rest: Peekable<Iter<'a, K, V>>,
}

impl<'a, K: Ord, V> MergeCursor<'a, K, V> {
    pub(crate) fn new(map: &'a BTreeMap<K, V>) -> Self {
        Self { rest: map.iter().peekable() }
    }

    /// The value of a key, which is greater than all that were asked for before.
    pub(crate) fn get(&mut self, key: &K) -> Option<&'a V> {
        while self.rest.next_if(|(other, _)| *other < key).is_some() {}
        self.rest.next_if(|(other, _)| *other == key).map(|(_, value)| value)
    }
}
