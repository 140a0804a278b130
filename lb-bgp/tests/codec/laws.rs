//! Invariants of the codec for arbitrary octets.
//!
//! Shared with the fuzz targets.

use lb_bgp::codec::{self, Decoding, Encoding};
use lb_bgp::message::{MAX_EXTENDED_MESSAGE, MAX_MESSAGE, Message};
use lb_bgp::value::AddressFamily;

/// Both families.
pub(crate) const FAMILIES: [AddressFamily; 2] = [AddressFamily::Ipv4, AddressFamily::Ipv6];

/// All combinations of negotiated properties, for both directions.
pub(crate) fn contexts() -> impl Iterator<Item = (Encoding, Decoding<'static>)> {
    (0_u8..16).map(|bits| {
        let (internal, four_octet_asn, extended_next_hop) = (bits & 1 != 0, bits & 2 != 0, bits & 8 == 0);
        let max_length = if bits & 4 == 0 { MAX_MESSAGE } else { MAX_EXTENDED_MESSAGE };
        let families = &FAMILIES;
        let decoding = Decoding { internal, four_octet_asn, extended_next_hop, families, max_length };
        (Encoding { internal, four_octet_asn, max_length }, decoding)
    })
}

/// Decodes the octets as a stream in every context; each decoded message must round-trip.
pub(crate) fn check(octets: &[u8]) {
    for (encoding, decoding) in contexts() {
        let mut rest = octets;
        while let Ok(Some(length)) = codec::frame(rest, decoding.max_length) {
            let (message, tail) = rest.split_at_checked(length).unwrap_or_default();
            assert_eq!(message.len(), length);
            match codec::decode(message, &decoding) {
                Ok(message) => read_again(message, &encoding, &decoding),
                Err(error) => assert_ne!(error.notification().code, 0),
            }
            rest = tail;
        }
    }
}

/// Checks that a decoded message is unchanged by encoding and decoding, except for receive-only parts.
pub(crate) fn read_again(mut message: Message, encoding: &Encoding, decoding: &Decoding<'_>) {
    if let Message::Update(update) = &mut message {
        update.flaws.clear();
        update.second_reach = None;
        let is_empty = update.withdrawn.is_empty() && update.reach.is_none();
        if is_empty && update.end_of_rib.is_none() {
            // Nothing that this speaker encodes is left; an empty UPDATE is the End-of-RIB of IPv4.
            update.end_of_rib = Some(AddressFamily::Ipv4);
        }
    }
    let mut out = Vec::new();
    // Two-octet AS numbers or unusual flags may become longer.
    let Ok(()) = codec::encode(&message, encoding, &mut out) else { return };
    let again = codec::decode(&out, decoding);
    let Ok(mut again) = again else { panic!("{message:?} is rejected: {again:?}") };
    if let (Message::Update(again), Message::Update(update)) = (&mut again, &mut message) {
        assert_eq!(again.flaws, []);
        // IPv4 comes first in a message.
        again.withdrawn.sort();
        update.withdrawn.sort();
    }
    assert_eq!(again, message);
}
