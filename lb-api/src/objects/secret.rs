//! Secrets, of which only a password is read, and never shown.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kinds::Metadata;
use super::null::null_default;

/// `v1` Secret.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Secret {
    /// Name.
    pub metadata: Metadata,
    /// Its type.
    #[serde(default)]
    pub r#type: Option<String>,
    /// What it holds, in base64.
    #[serde(default, deserialize_with = "null_default")]
    pub data: BTreeMap<String, SecretText>,
    /// What it holds, as text: so it may be written, and an API server keeps it in base64.
    #[serde(default, rename = "stringData", deserialize_with = "null_default")]
    pub string_data: BTreeMap<String, SecretText>,
}

/// A text that is not to be shown.
#[derive(Clone, Default, PartialEq, Eq, JsonSchema)]
pub struct SecretText(String);

impl SecretText {
    /// The text.
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

/// Writes out a text that is not to be shown. Only a field that says so is written so.
pub(super) fn reveal<S: Serializer>(hidden: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    hidden.as_ref().map(SecretText::reveal).serialize(serializer)
}
