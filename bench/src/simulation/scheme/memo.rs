//! What many nodes would compute from the same members, computed once.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Results by what they were made from.
pub(super) struct Memo<K, T: ?Sized> {
    results: BTreeMap<K, Arc<T>>,
}

impl<K: Ord, T: ?Sized> Memo<K, T> {
    /// The result for a key.
    pub(super) fn of(&mut self, key: K, make: impl FnOnce(&K) -> Arc<T>) -> Arc<T> {
        if let Some(result) = self.results.get(&key) {
            return Arc::clone(result);
        }
        let result = make(&key);
        self.results.insert(key, Arc::clone(&result));
        result
    }
}

impl<K, T: ?Sized> Default for Memo<K, T> {
    fn default() -> Self {
        Self { results: BTreeMap::new() }
    }
}
