//! Deserialization of explicit `null`.

use serde::{Deserialize, Deserializer};

/// Deserializes `null` as the default. Kubernetes treats `null` as an absent field; serde does not.
pub(super) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
