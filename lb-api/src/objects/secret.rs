//! Secrets, of which only passwords are read, and never shown.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kubernetes::Metadata;
use super::null::null_default;

/// `v1` Secret.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Secret {
    /// Name.
    pub metadata: Metadata,
    /// Its type.
    #[serde(default)]
    pub r#type: Option<String>,
    /// Its values, in base64.
    #[serde(default, deserialize_with = "null_default")]
    pub data: BTreeMap<String, SecretText>,
    /// Its values as text: an API server converts them to base64.
    #[serde(default, rename = "stringData", deserialize_with = "null_default")]
    pub string_data: BTreeMap<String, SecretText>,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, JsonSchema)]
pub struct SecretText(String);

impl SecretText {
    /// Returns the text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Serializes a text that is never shown, for fields that opt in.
pub(super) fn reveal<S: Serializer>(hidden: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    hidden.as_ref().map(SecretText::reveal).serialize(serializer)
}
