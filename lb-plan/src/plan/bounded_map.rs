//! A map of fixed capacity, in which entries to be removed still take up room.

use std::collections::BTreeMap;

/// A map that is filled up to its capacity. Installed entries are removed only after the new ones have been
/// written, so they take up room too.
pub(super) struct BoundedMap<'a, K, V> {
    desired: &'a mut BTreeMap<K, V>,
    installed: &'a BTreeMap<K, V>,
    free: usize,
}

impl<'a, K: Ord, V> BoundedMap<'a, K, V> {
    pub(super) fn new(
        desired: &'a mut BTreeMap<K, V>,
        installed: &'a BTreeMap<K, V>,
        capacity: usize,
    ) -> Self {
        let free = capacity.saturating_sub(installed.len());
        Self { desired, installed, free }
    }

    /// Inserts an entry; returns false if the map is full.
    pub(super) fn insert(&mut self, key: K, value: V) -> bool {
        let is_new = !self.installed.contains_key(&key) && !self.desired.contains_key(&key);
        if is_new {
            let Some(free) = self.free.checked_sub(1) else { return false };
            self.free = free;
        }
        self.desired.insert(key, value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_entries_take_up_room_and_kept_ones_only_once() {
        let installed = BTreeMap::from([(1, ()), (2, ())]);
        let mut desired = BTreeMap::new();
        let mut room = BoundedMap::new(&mut desired, &installed, 3);
        assert!(room.insert(2, ()));
        assert!(room.insert(3, ()));
        assert!(room.insert(3, ()));
        assert!(!room.insert(4, ()));
        assert_eq!(desired.into_keys().collect::<Vec<_>>(), [2, 3]);
    }
}
