//! Hand-written messages.

use std::net::Ipv4Addr;

use lb_bgp::codec::{Decoding, Encoding};
use lb_bgp::message::MAX_MESSAGE;
use lb_bgp::value::Asn;

pub(crate) use crate::laws::{FAMILIES, contexts};

/// An external peer with current capabilities.
pub(crate) const DECODING: Decoding<'static> = Decoding {
    internal: false,
    four_octet_asn: true,
    extended_next_hop: true,
    families: &FAMILIES,
    max_length: MAX_MESSAGE,
};

/// The matching encoding.
pub(crate) const ENCODING: Encoding =
    Encoding { internal: false, four_octet_asn: true, max_length: MAX_MESSAGE };

/// Builds a message of a type.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xff; 16], length.to_be_bytes().as_slice(), &[kind], body].concat()
}

/// Builds an UPDATE of its three parts.
pub(crate) fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u16::try_from(part.len()).unwrap().to_be_bytes();
    message(2, &[&length(withdrawn), withdrawn, &length(attributes), attributes, nlri].concat())
}

/// Builds a path attribute with a one-octet length.
pub(crate) fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    [&[flags, code, u8::try_from(value.len()).unwrap()], value].concat()
}

/// Returns an AS number.
pub(crate) fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

/// A documentation address.
pub(crate) const NEXT_HOP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Parses hexadecimal digits.
pub(crate) fn octets(digits: &str) -> Vec<u8> {
    let pair = |start| u8::from_str_radix(digits.get(start..start + 2).unwrap(), 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}
