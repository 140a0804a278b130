//! Explicit `null` in place of a field.

use serde::{Deserialize, Deserializer};

/// Kubernetes takes an explicit `null` for a field that is not there; serde does not by itself.
pub(super) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
