//! The negotiated properties of a session that the codec depends on.

use crate::value::Family;

/// What a message that is to be sent depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The neighbour is of the same AS.
    pub internal: bool,
    /// Both sides have AS numbers of four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Octets that a message may have: [`MAX_MESSAGE`], or [`MAX_EXTENDED_MESSAGE`](crate::message::LONGEST_EXTENDED)
    /// where both sides can.
    pub max_length: usize,
}

/// What the reading of a message depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoding<'a> {
    /// The neighbour is of the same AS.
    pub internal: bool,
    /// Both sides have AS numbers of four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Families that both sides speak.
    pub families: &'a [Family],
    /// As in [`Encoding`].
    pub max_length: usize,
}
