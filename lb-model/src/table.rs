//! Hash tables without an order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// A table that is faster than an ordered one with tens of thousands of entries. Its hashes are the same in
/// every process: nothing here is random.
pub(super) type Table<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
