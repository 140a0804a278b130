//! Router Solicitations and Router Advertisements (RFC 4861 sections 4.1 and 4.2), as far as a speaker needs them.

use std::net::Ipv6Addr;

const SOLICIT: u8 = 133;
const ADVERTISE: u8 = 134;
/// Bytes of an advertisement before its options.
const FIXED: usize = 16;
/// Bytes of the unit that options are measured in.
const OPTION_UNIT: usize = 8;

/// Asks routers to advertise themselves.
pub(super) const SOLICITATION: [u8; 8] = [SOLICIT, 0, 0, 0, 0, 0, 0, 0];

/// Says that we are here, and with lifetime 0 that nobody is to send us packets for elsewhere (RFC 4861 section 6.2.3).
/// All other fields say nothing.
pub(super) const ADVERTISEMENT: [u8; FIXED] = [ADVERTISE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What a Router Advertisement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouterAdvertisement {
    /// For so many seconds packets may be sent to the router; zero: it is none for that.
    pub(super) lifetime: u16,
}

/// Why a packet counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdvertisement {
    /// It is something else.
    #[error("ICMPv6 of type {0} is no Router Advertisement")]
    OtherType(u8),
    /// It ends early.
    #[error("the Router Advertisement ends early")]
    Truncated,
    /// Its code is not zero.
    #[error("code {0} of a Router Advertisement is not known")]
    UnknownCode(u8),
    /// An option has no length.
    #[error("an option of the Router Advertisement has no length")]
    EmptyOption,
    /// It has come through a router.
    #[error("the Router Advertisement came with hop limit {hop_limit}, so from another link")]
    Forwarded {
        /// What it came with.
        hop_limit: u8,
    },
    /// It is from no address of a link.
    #[error("the Router Advertisement is from {0}, which is no link-local address")]
    NotLinkLocal(Ipv6Addr),
}

/// Reads an advertisement, from its ICMPv6 header on. Its check sum is the kernel's business.
///
/// # Errors
/// When it is none, or damaged (RFC 4861 section 6.1.2).
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

    /// With a lifetime of 1800 s, a link-layer address and an MTU, as routers send them.
    const OF_A_ROUTER: [u8; 32] = [
        134, 0, 0x12, 0x34, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, //
        1, 1, 2, 0, 0, 0, 0, 1, //
        5, 1, 0, 0, 0, 0, 5, 220,
    ];

    #[test]
    fn advertisements_are_parse() {
        assert_eq!(parse(&OF_A_ROUTER), Ok(RouterAdvertisement { lifetime: 1800 }));
        assert_eq!(parse(&OF_A_ROUTER[..16]), Ok(RouterAdvertisement { lifetime: 1800 }));
        assert_eq!(parse(&ADVERTISEMENT), Ok(RouterAdvertisement { lifetime: 0 }));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = OF_A_ROUTER;
            bytes[at] = byte;
            parse(&bytes)
        };
        let cases = [
            ("empty", parse(&[]), InvalidAdvertisement::Truncated),
            ("a solicitation", parse(&SOLICITATION), InvalidAdvertisement::OtherType(133)),
            ("short", parse(&OF_A_ROUTER[..15]), InvalidAdvertisement::Truncated),
            ("another code", changed(1, 3), InvalidAdvertisement::UnknownCode(3)),
            ("an option without length", changed(17, 0), InvalidAdvertisement::EmptyOption),
            ("an option that is too long", changed(25, 2), InvalidAdvertisement::Truncated),
            ("an option that is cut", parse(&OF_A_ROUTER[..31]), InvalidAdvertisement::Truncated),
            ("half the head of an option", parse(&OF_A_ROUTER[..25]), InvalidAdvertisement::Truncated),
        ];
        for (what, read, error) in cases {
            assert_eq!(read, Err(error), "{what}");
        }
    }
}
