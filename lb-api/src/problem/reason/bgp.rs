//! Reasons why BGP objects are invalid or without effect.

use std::net::IpAddr;

use crate::problem::excerpt::{bare, named, quoted};
use crate::problem::severity::Severity;

/// Why a BGP object is invalid or without effect, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BgpReason {
    /// A BGP peer that this node has a session with already.
    #[error(
        "{} has a session with the same BGP peer on this node and takes precedence; remove one of them, \
         or give them disjoint nodeSelectors",
        named(.by)
    )]
    RouterTaken {
        /// The peer that has it.
        by: String,
    },
    /// An invalid community.
    #[error("{} is not a community; write 65000:100, or large:65000:100:1", quoted(.written))]
    NotACommunity {
        /// The written value.
        written: String,
    },
    /// An undefined community alias.
    #[error("no Community object defines {}; define it, or write its value, as 65000:100", quoted(.written))]
    UnknownCommunity {
        /// The written value.
        written: String,
    },
    /// A well-known community name without a definition.
    #[error("no Community object defines {}; write its value, {value}, or define the name", quoted(.written))]
    WellKnownCommunity {
        /// The written value.
        written: String,
        /// Its value.
        value: &'static str,
    },
    /// Multihop on an internal session.
    #[error(
        "peerASN equals myASN, and ebgpMultiHop is for external sessions only; remove it, as internal \
         sessions may be several hops long"
    )]
    MultihopInternal,
    /// A source address of the other family.
    #[error(
        "{} is of another IP version than peerAddress; write an address of the same version",
        bare(.written)
    )]
    SourceFamily {
        /// The written value.
        written: String,
    },
    /// An invalid Secret name: perhaps the password itself, so it is not shown.
    #[error(
        "this is not a valid name of a Secret; store the password in a Secret, and write the name of that"
    )]
    NotASecretName,
    /// A password with a line break.
    #[error(
        "the password contains a line break, so no peer would accept it; create it without one: with \
         `printf`, not `echo`"
    )]
    PasswordLineBreak,
    /// A password that TCP-MD5 does not support.
    #[error("the password is empty or longer than 80 octets, the limit of TCP-MD5; choose another")]
    PasswordLength,
    /// A Secret of the wrong type.
    #[error("Secret {} is not of type {wanted}; create it with that type", named(.name))]
    SecretType {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The required type.
        wanted: &'static str,
    },
    /// A Secret without a password.
    #[error("Secret {} has no key {key} with a base64 value; add the key", named(.name))]
    SecretWithout {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The key.
        key: &'static str,
    },
    /// A prefix that exceeds the pool.
    #[error(
        "a prefix of length {length} would cover addresses outside pool {}; write at least {least}",
        named(.pool)
    )]
    AggregationTooShort {
        /// As written.
        length: u8,
        /// The pool, as `namespace/name`.
        pool: String,
        /// The shortest valid length.
        least: u8,
    },
    /// Service selectors with prefixes of several Services.
    #[error(
        "serviceSelectors select single Services, but a shorter prefix covers several; write \
         aggregationLength 32 and aggregationLengthV6 128, or remove the selectors"
    )]
    SelectorsWithAggregation,
    /// Two local preferences for one prefix.
    #[error(
        "{} advertises the same prefixes to the same peers with another localPref; write the same value \
         in both",
        named(.other)
    )]
    LocalPrefConflict {
        /// Name of the other.
        other: String,
    },
    /// A peer address of this node itself.
    #[error("peerAddress is an address of this node, so this node opens no session; other nodes do")]
    OwnAddress,
    /// A link-local address, which needs an interface.
    #[error("{address} is link-local, and so ambiguous; write the interface of the peer instead")]
    LinkLocalWithoutInterface {
        /// The address.
        address: IpAddr,
    },
}

impl BgpReason {
    /// Returns a fixed word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::RouterTaken { .. } => "router_taken",
            Self::OwnAddress => "own_address",
            Self::NotACommunity { .. } => "not_a_community",
            Self::UnknownCommunity { .. } | Self::WellKnownCommunity { .. } => "unknown_community",
            Self::MultihopInternal => "multihop_internal",
            Self::SourceFamily { .. } => "source_family",
            Self::NotASecretName => "not_a_secret_name",
            Self::PasswordLineBreak => "password_line_break",
            Self::PasswordLength => "password_length",
            Self::SecretType { .. } => "secret_type",
            Self::SecretWithout { .. } => "secret_without",
            Self::AggregationTooShort { .. } => "aggregation_too_short",
            Self::SelectorsWithAggregation => "selectors_with_aggregation",
            Self::LocalPrefConflict { .. } => "local_pref_conflict",
            Self::LinkLocalWithoutInterface { .. } => "special_address",
        }
    }

    /// Returns how severe it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::OwnAddress => Severity::Notice,
            _ => Severity::Error,
        }
    }
}
