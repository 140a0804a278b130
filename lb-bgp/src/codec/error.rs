//! What makes a message unreadable, and what the sender is told.

use crate::message::{HEADER_LEN, MAX_MESSAGE, Notification};
use crate::notification::{code, name};

/// Largest version that is spoken: the only one.
pub(super) const VERSION: u8 = 4;

/// Octets of a NOTIFICATION that may be data, if the other side takes no long messages.
const MAX_DATA: usize = MAX_MESSAGE - HEADER_LEN - 2;

/// Subcodes of errors in an UPDATE (RFC 4271 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum UpdateFault {
    /// Lengths do not add up, or a multiprotocol attribute is there twice.
    MalformedAttributeList = 1,
    /// An attribute claims that everyone knows it.
    UnrecognizedWellKnown = 2,
    /// A mandatory attribute is not there.
    MissingWellKnown = 3,
    /// Optional or transitive where it must not be, or the reverse.
    AttributeFlags = 4,
    /// Of the wrong length.
    AttributeLength = 5,
    /// ORIGIN of an undefined value.
    InvalidOrigin = 6,
    /// NEXT_HOP is no address of a host.
    InvalidNextHop = 8,
    /// The value of an optional attribute.
    OptionalAttribute = 9,
    /// A prefix that is too long or cut short.
    InvalidNetwork = 10,
    /// Segments do not add up, are of an undefined kind, or name AS 0.
    MalformedAsPath = 11,
}

/// Why a message cannot be taken. Each ends the session, with the [`notification`](Self::notification) that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The marker is not all ones (RFC 4271 section 6.1).
    #[error("the stream of messages is out of step: a marker is not all ones")]
    NotSynchronized,
    /// Too short or too long for its type, or at all.
    #[error("a message claims a length of {0} octets, which its type cannot have")]
    BadLength(u16),
    /// A type of message that does not exist.
    #[error("a message of unknown type {0}")]
    BadType(u8),
    /// OPEN for another version of BGP (RFC 4271 section 6.2).
    #[error("the neighbour speaks BGP version {0}")]
    UnsupportedVersion(u8),
    /// OPEN by AS 0 (RFC 7607).
    #[error("the neighbour says that it is of AS 0")]
    BadPeerAs,
    /// OPEN by 0.0.0.0.
    #[error("the neighbour's BGP identifier is 0.0.0.0")]
    BadIdentifier,
    /// OPEN with a parameter that is no list of capabilities.
    #[error("OPEN has an optional parameter of unknown type {0}")]
    UnsupportedParameter(u8),
    /// OPEN that proposes one or two seconds.
    #[error("the neighbour proposes a hold time of {0} s")]
    UnacceptableHoldTime(u16),
    /// OPEN whose lengths do not add up, or with a capability that cannot be read.
    #[error("OPEN is malformed")]
    MalformedOpen,
    /// UPDATE that RFC 7606 leaves no milder way for.
    #[error("UPDATE: {}", name(code::UPDATE, *.fault as u8))]
    Update {
        /// What is wrong.
        fault: UpdateFault,
        /// What the neighbour is shown of it: as a rule the attribute.
        data: Vec<u8>,
    },
}

impl MessageError {
    /// What the sender is told before the connection is closed.
    pub fn notification(&self) -> Notification {
        let (code, subcode, data) = match self {
            Self::NotSynchronized => (code::HEADER, 1, Vec::new()),
            Self::BadLength(length) => (code::HEADER, 2, length.to_be_bytes().to_vec()),
            Self::BadType(kind) => (code::HEADER, 3, vec![*kind]),
            Self::UnsupportedVersion(_) => (code::OPEN, 1, u16::from(VERSION).to_be_bytes().to_vec()),
            Self::BadPeerAs => (code::OPEN, 2, Vec::new()),
            Self::BadIdentifier => (code::OPEN, 3, Vec::new()),
            Self::UnsupportedParameter(_) => (code::OPEN, 4, Vec::new()),
            Self::UnacceptableHoldTime(_) => (code::OPEN, 6, Vec::new()),
            Self::MalformedOpen => (code::OPEN, 0, Vec::new()),
            Self::Update { fault, data } => (code::UPDATE, *fault as u8, data.clone()),
        };
        Notification { code, subcode, data }
    }

    /// An error of an UPDATE that shows `data`, as much of it as any neighbour takes.
    pub(super) fn update(fault: UpdateFault, data: &[u8]) -> Self {
        Self::Update { fault, data: data.get(..MAX_DATA).unwrap_or(data).to_vec() }
    }
}

/// What is to be said does not fit into one message: the attributes of a route, or an UPDATE with too many prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("longer than a message may be")]
pub struct MessageTooLong;
