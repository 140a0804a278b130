//! A cursor into a map for lookups in ascending order.

use std::collections::btree_map::{BTreeMap, Iter};
use std::iter::Peekable;

/// A cursor into a map for lookups in ascending order. It avoids searching: with tens of thousands of
/// entries, that would dominate the cost of a plan.
pub(crate) struct MergeCursor<'a, K, V> {
    rest: Peekable<Iter<'a, K, V>>,
}

impl<'a, K: Ord, V> MergeCursor<'a, K, V> {
    pub(crate) fn new(map: &'a BTreeMap<K, V>) -> Self {
        Self { rest: map.iter().peekable() }
    }

    /// Returns the value of a key, which must be greater than all earlier ones.
    pub(crate) fn get(&mut self, key: &K) -> Option<&'a V> {
        while self.rest.next_if(|(other, _)| *other < key).is_some() {}
        self.rest.next_if(|(other, _)| *other == key).map(|(_, value)| value)
    }
}
