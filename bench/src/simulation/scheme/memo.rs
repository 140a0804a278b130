//! A cache of results that many nodes would compute from the same members.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Results by their inputs.
pub(super) struct Memo<K, T: ?Sized> {
    results: BTreeMap<K, Arc<T>>,
}

impl<K: Ord, T: ?Sized> Memo<K, T> {
    /// Returns the result for a key; computes it once.
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
