//! Decoding errors and the NOTIFICATIONs they cause.

use crate::message::{HEADER_LEN, MAX_MESSAGE, Notification};
use crate::notification::{code, name};

/// The BGP version.
pub(super) const VERSION: u8 = 4;

/// Maximum length of NOTIFICATION data, if the peer does not support extended messages.
const MAX_DATA: usize = MAX_MESSAGE - HEADER_LEN - 2;

/// Subcodes of the UPDATE message error (RFC 4271, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum UpdateFault {
    /// Inconsistent lengths, or a repeated multiprotocol attribute.
    MalformedAttributeList = 1,
    /// An unknown attribute flagged as well-known.
    UnrecognizedWellKnown = 2,
    /// A mandatory attribute is missing.
    MissingWellKnown = 3,
    /// Wrong optional or transitive flag.
    AttributeFlags = 4,
    /// Wrong length.
    AttributeLength = 5,
    /// Undefined ORIGIN.
    InvalidOrigin = 6,
    /// NEXT_HOP is not a valid host address.
    InvalidNextHop = 8,
    /// Invalid value of an optional attribute.
    OptionalAttribute = 9,
    /// A prefix that is too long or truncated.
    InvalidNetwork = 10,
    /// Inconsistent segments, an undefined segment type, or AS 0.
    MalformedAsPath = 11,
}

/// Errors that close the session with the given [`notification`](Self::notification).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The marker is not all ones (RFC 4271, section 6.1).
    #[error("connection not synchronized: the marker is not all ones")]
    NotSynchronized,
    /// A length that is invalid for the type.
    #[error("bad message length: {0} octets")]
    BadLength(u16),
    /// An undefined message type.
    #[error("bad message type {0}")]
    BadType(u8),
    /// OPEN with another BGP version (RFC 4271, section 6.2).
    #[error("unsupported BGP version {0}")]
    UnsupportedVersion(u8),
    /// OPEN from AS 0 (RFC 7607).
    #[error("bad peer AS: 0")]
    BadPeerAs,
    /// OPEN with BGP identifier 0.0.0.0.
    #[error("bad BGP identifier: 0.0.0.0")]
    BadIdentifier,
    /// OPEN with an optional parameter other than capabilities.
    #[error("unsupported optional parameter {0} in OPEN")]
    UnsupportedParameter(u8),
    /// OPEN with a hold time of one or two seconds.
    #[error("unacceptable hold time: {0} s")]
    UnacceptableHoldTime(u16),
    /// OPEN with inconsistent lengths or a malformed capability.
    #[error("malformed OPEN")]
    MalformedOpen,
    /// UPDATE with an error that RFC 7606 offers no milder handling for.
    #[error("UPDATE: {}", name(code::UPDATE, *.fault as u8))]
    Update {
        /// Error subcode.
        fault: UpdateFault,
        /// Data of the NOTIFICATION: as a rule the attribute.
        data: Vec<u8>,
    },
}

impl MessageError {
    /// Returns the NOTIFICATION to send before closing the connection.
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

    /// Returns an UPDATE error with `data`, limited to what every peer can receive.
    pub(super) fn update(fault: UpdateFault, data: &[u8]) -> Self {
        Self::Update { fault, data: data.get(..MAX_DATA).unwrap_or(data).to_vec() }
    }
}

/// The message does not fit: a route with too many attributes, or an UPDATE with too many prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message exceeds the maximum length")]
pub struct MessageTooLong;
