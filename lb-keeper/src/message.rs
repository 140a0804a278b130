//! The messages between agent and keeper: JSON, one datagram each; descriptors travel beside them.

use serde::{Deserialize, Serialize};

use super::stream::StreamTerms;

/// The versions of the protocol that this program speaks.
pub(crate) const VERSIONS: Versions = Versions { least: 1, most: 1 };

/// Maximum length of an encoded message.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;

/// Names in one message at most: of maximum length, and with every octet escaped, they still fit.
pub(crate) const MAX_NAMES: usize = 32;

/// A range of versions of the protocol, both ends included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Versions {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

impl Versions {
    /// Returns the highest version in both ranges.
    pub(crate) fn common(self, other: Self) -> Option<u32> {
        let most = self.most.min(other.most);
        (most >= self.least.max(other.least)).then_some(most)
    }
}

/// From the agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum AgentMessage {
    /// The first message, in the same format in all versions.
    Hello { versions: Versions, release: String },
    /// Hold this stream; its socket and journal are beside the message.
    Hold { name: String, terms: StreamTerms },
    /// Hand this stream over.
    Claim { name: String },
    /// The agent has closed this stream.
    Release { name: String },
    /// End this stream with its farewell; without a name, all streams that are not claimed.
    Dismiss { name: Option<String> },
}

/// From the keeper.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum KeeperMessage {
    /// The reply to hello.
    Welcome { version: u32, pid: u32, release: String },
    /// Names of streams that may be claimed; follows the welcome.
    Unclaimed { names: Vec<String>, more: bool },
    /// The reply to hello without a common version. The keeper has ended all streams.
    Refused { versions: Versions, release: String },
    /// The keeper holds the stream.
    Held { name: String },
    /// The keeper does not hold the stream.
    Rejected { name: String, reason: String },
    /// The stream is the agent's; its socket and journal are beside the message.
    Claimed { name: String, terms: StreamTerms },
    /// There is no such stream to claim.
    Unknown { name: String },
    /// Another agent has connected.
    Replaced,
    /// The keeper stops soon.
    Leaving,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stream::Stream;

    #[test]
    fn the_highest_common_version_is_chosen() {
        let range = |least, most| Versions { least, most };
        assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
        assert_eq!(range(2, 5).common(range(1, 2)), Some(2));
        assert_eq!(range(1, 2).common(range(3, 4)), None);
        assert_eq!(range(3, 4).common(range(1, 2)), None);
    }

    #[test]
    fn the_largest_messages_fit() {
        let terms = StreamTerms {
            keepalive: Some(Duration::MAX),
            keepalive_octets: vec![255; StreamTerms::MAX_OCTETS],
            farewell: vec![255; StreamTerms::MAX_OCTETS],
            restartable: true,
            state: vec![255; StreamTerms::MAX_STATE],
        };
        let name = "\u{1}".repeat(Stream::MAX_NAME);
        let names = KeeperMessage::Unclaimed { names: vec![name.clone(); MAX_NAMES], more: true };
        let hold = AgentMessage::Hold { name, terms };
        assert!(serde_json::to_vec(&names).unwrap().len() <= MAX_MESSAGE);
        let encoded = serde_json::to_vec(&hold).unwrap();
        assert!(encoded.len() <= MAX_MESSAGE, "{}", encoded.len());
        assert_eq!(serde_json::from_slice::<AgentMessage>(&encoded).unwrap(), hold);
    }

    #[test]
    fn a_later_release_may_add_fields() {
        let text = r#"{"type":"hello","versions":{"least":1,"most":9,"x":0},"release":"9","new":[1]}"#;
        assert!(serde_json::from_str::<AgentMessage>(text).is_ok());
    }
}
