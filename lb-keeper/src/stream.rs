//! A TCP stream that is kept, and its terms.

use std::os::fd::OwnedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A TCP stream with its journal, as the agent passes it to the keeper and gets it back.
#[derive(Debug)]
pub struct Stream {
    /// Its name, at most 255 octets.
    pub name: String,
    /// The connected socket.
    pub socket: OwnedFd,
    /// The memory of its [`Journal`](crate::journal::Journal).
    pub journal: OwnedFd,
    /// Its terms.
    pub terms: StreamTerms,
}

impl Stream {
    /// Maximum length of a name in octets.
    pub const MAX_NAME: usize = 255;
}

/// What the keeper may write to a stream, and what the next agent has to know about it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct StreamTerms {
    /// Interval of `keepalive_octets` while the keeper holds the stream alone; `None` if the peer needs none.
    pub keepalive: Option<Duration>,
    /// Octets that keep the stream alive.
    #[serde(with = "octets")]
    pub keepalive_octets: Vec<u8>,
    /// Octets that end the stream, which the keeper writes before it closes the stream for good.
    #[serde(with = "octets")]
    pub farewell: Vec<u8>,
    /// Whether the peer keeps its state when the stream ends without a farewell, and waits for a restart.
    pub restartable: bool,
    /// What the agent needs to resume the stream. The keeper does not read it.
    #[serde(with = "octets")]
    pub state: Vec<u8>,
}

impl StreamTerms {
    /// Maximum length of `state`.
    pub const MAX_STATE: usize = 32 * 1024;
    /// Maximum length of `keepalive_octets` and of `farewell`.
    pub const MAX_OCTETS: usize = 4096;

    /// Returns whether every part is short enough.
    pub(crate) fn is_bounded(&self) -> bool {
        self.state.len() <= Self::MAX_STATE
            && self.keepalive_octets.len() <= Self::MAX_OCTETS
            && self.farewell.len() <= Self::MAX_OCTETS
            && self.keepalive.is_none_or(|interval| !interval.is_zero())
    }
}

/// Octets as a text: an array of numbers would need four times as many.
mod octets {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(octets))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
