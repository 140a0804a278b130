//! The negotiated properties of a session that the codec depends on.

use crate::value::AddressFamily;

/// What encoding a message depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The peer is in the same AS.
    pub internal: bool,
    /// Both sides support four-octet AS numbers (RFC 6793).
    pub four_octet_asn: bool,
    /// Maximum message length: [`MAX_MESSAGE`](crate::message::MAX_MESSAGE), or
    /// [`MAX_EXTENDED_MESSAGE`](crate::message::MAX_EXTENDED_MESSAGE) if both sides support it.
    pub max_length: usize,
}

/// What decoding a message depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoding<'a> {
    /// The peer is in the same AS.
    pub internal: bool,
    /// Both sides support four-octet AS numbers (RFC 6793).
    pub four_octet_asn: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Negotiated families.
    pub families: &'a [AddressFamily],
    /// As in [`Encoding`].
    pub max_length: usize,
}
