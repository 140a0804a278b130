//! Router Solicitations and Router Advertisements (RFC 4861, sections 4.1 and 4.2), as far as BGP needs them.

use std::net::Ipv6Addr;

const SOLICIT: u8 = 133;
const ADVERTISE: u8 = 134;
/// Length of an advertisement without options.
const FIXED: usize = 16;
/// Unit of option lengths in bytes.
const OPTION_UNIT: usize = 8;

/// Router Solicitation.
pub(super) const SOLICITATION: [u8; 8] = [SOLICIT, 0, 0, 0, 0, 0, 0, 0];

/// Router Advertisement of a non-default router (lifetime 0, RFC 4861, section 6.2.3). All other fields are
/// unspecified.
pub(super) const ADVERTISEMENT: [u8; FIXED] = [ADVERTISE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A Router Advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouterAdvertisement {
    /// Router lifetime in seconds; zero if it is not a default router.
    pub(super) lifetime: u16,
}

/// Reasons to discard a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdvertisement {
    /// Not a Router Advertisement.
    #[error("not a Router Advertisement: ICMPv6 type {0}")]
    OtherType(u8),
    /// Truncated.
    #[error("truncated Router Advertisement")]
    Truncated,
    /// A nonzero code.
    #[error("unknown Router Advertisement code {0}")]
    UnknownCode(u8),
    /// An option of length zero.
    #[error("Router Advertisement with an option of length zero")]
    EmptyOption,
    /// Forwarded by a router.
    #[error("Router Advertisement with hop limit {hop_limit}: it was forwarded")]
    Forwarded {
        /// Received hop limit.
        hop_limit: u8,
    },
    /// The source is not a link-local address.
    #[error("Router Advertisement from {0}, which is not a link-local address")]
    NotLinkLocal(Ipv6Addr),
}

/// Parses an advertisement from its ICMPv6 header on. The kernel has verified the checksum.
///
/// # Errors
/// If it is of another type, or malformed (RFC 4861, section 6.1.2).
pub(super) fn parse(bytes: &[u8]) -> Result<RouterAdvertisement, InvalidAdvertisement> {
    match bytes.first() {
        None => return Err(InvalidAdvertisement::Truncated),
        Some(&ADVERTISE) => {}
        Some(other) => return Err(InvalidAdvertisement::OtherType(*other)),
    }
    let (fixed, mut options) = bytes.split_first_chunk::<FIXED>().ok_or(InvalidAdvertisement::Truncated)?;
    if fixed[1] != 0 {
        return Err(InvalidAdvertisement::UnknownCode(fixed[1]));
    }
    while let [_, rest @ ..] = options {
        let units = *rest.first().ok_or(InvalidAdvertisement::Truncated)?;
        if units == 0 {
            return Err(InvalidAdvertisement::EmptyOption);
        }
        options = options.get(usize::from(units) * OPTION_UNIT..).ok_or(InvalidAdvertisement::Truncated)?;
    }
    Ok(RouterAdvertisement { lifetime: u16::from_be_bytes([fixed[6], fixed[7]]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lifetime 1800 s, with a link-layer address and an MTU, as routers send it.
    const FROM_ROUTER: [u8; 32] = [
        134, 0, 0x12, 0x34, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, //
        1, 1, 2, 0, 0, 0, 0, 1, //
        5, 1, 0, 0, 0, 0, 5, 220,
    ];

    #[test]
    fn advertisements_are_parsed() {
        assert_eq!(parse(&FROM_ROUTER), Ok(RouterAdvertisement { lifetime: 1800 }));
        assert_eq!(parse(&FROM_ROUTER[..16]), Ok(RouterAdvertisement { lifetime: 1800 }));
        assert_eq!(parse(&ADVERTISEMENT), Ok(RouterAdvertisement { lifetime: 0 }));
    }

    #[test]
    fn malformed_packets_are_rejected() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = FROM_ROUTER;
            bytes[at] = byte;
            parse(&bytes)
        };
        let cases = [
            ("empty", parse(&[]), InvalidAdvertisement::Truncated),
            ("a solicitation", parse(&SOLICITATION), InvalidAdvertisement::OtherType(133)),
            ("short", parse(&FROM_ROUTER[..15]), InvalidAdvertisement::Truncated),
            ("another code", changed(1, 3), InvalidAdvertisement::UnknownCode(3)),
            ("an option without length", changed(17, 0), InvalidAdvertisement::EmptyOption),
            ("an option that is too long", changed(25, 2), InvalidAdvertisement::Truncated),
            ("a truncated option", parse(&FROM_ROUTER[..31]), InvalidAdvertisement::Truncated),
            ("a truncated option header", parse(&FROM_ROUTER[..25]), InvalidAdvertisement::Truncated),
        ];
        for (what, read, error) in cases {
            assert_eq!(read, Err(error), "{what}");
        }
    }
}
