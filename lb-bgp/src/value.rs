//! BGP value types: valid once constructed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

/// Autonomous system number (RFC 6793); never zero (RFC 7607).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(NonZeroU32);

impl Asn {
    /// AS_TRANS: the placeholder in a two-octet field (RFC 6793, section 9).
    pub const TRANS: u16 = 23_456;

    /// Returns an AS number; `None` for zero.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Returns the number in two octets, or [`Self::TRANS`].
    pub(crate) fn two_octets(self) -> u16 {
        u16::try_from(self.get()).unwrap_or(Self::TRANS)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// BGP identifier: unique in an AS, never zero (RFC 6286), written as an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(NonZeroU32);

impl RouterId {
    /// Returns an identifier; `None` for 0.0.0.0.
    pub const fn new(address: Ipv4Addr) -> Option<Self> {
        match NonZeroU32::new(address.to_bits()) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the identifier as an address.
    pub const fn address(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.0.get())
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(formatter)
    }
}

/// Hold time in seconds: zero (no keepalives) or at least three (RFC 4271, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldTime(u16);

impl HoldTime {
    /// Proposed by default.
    pub const DEFAULT: Self = Self(90);

    /// Returns a hold time; `None` for one or two seconds.
    pub const fn new(seconds: u16) -> Option<Self> {
        if seconds == 1 || seconds == 2 { None } else { Some(Self(seconds)) }
    }

    /// Returns the seconds; zero for none.
    pub const fn seconds(self) -> u16 {
        self.0
    }

    /// Returns the duration; `None` for no hold time.
    pub const fn duration(self) -> Option<Duration> {
        if self.0 == 0 { None } else { Some(Duration::from_secs(self.0 as u64)) }
    }
}

/// Address family (RFC 4760); always unicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFamily {
    /// AFI 1, SAFI 1.
    Ipv4,
    /// AFI 2, SAFI 1.
    Ipv6,
}

impl AddressFamily {
    /// Unicast.
    pub(crate) const SAFI: u8 = 1;

    /// Returns the address family identifier.
    pub const fn afi(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }

    /// Returns the family of an AFI and SAFI; `None` if unsupported.
    pub const fn new(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, Self::SAFI) => Some(Self::Ipv4),
            (2, Self::SAFI) => Some(Self::Ipv6),
            _ => None,
        }
    }
}

/// A community (RFC 1997).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StandardCommunity(pub u32);

impl StandardCommunity {
    /// GRACEFUL_SHUTDOWN, 65535:0 (RFC 8326): asks routers to prefer other paths, because this one is about
    /// to go away.
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);

    /// Returns the community of its two halves.
    pub const fn new(high: u16, low: u16) -> Self {
        Self((high as u32) << 16 | low as u32)
    }
}

impl fmt::Display for StandardCommunity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// A large community (RFC 8092): global administrator and two local data parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity(pub [u32; 3]);

impl fmt::Display for LargeCommunity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [administrator, first, second] = self.0;
        write!(formatter, "{administrator}:{first}:{second}")
    }
}

/// The next hop of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteNextHop {
    /// For IPv4 routes.
    V4(Ipv4Addr),
    /// For IPv6 routes (RFC 2545, section 3), and for IPv4 routes if the peer supports it (RFC 8950).
    V6 {
        /// The global address, or the link-local address on an unnumbered link.
        address: Ipv6Addr,
        /// The link-local address sent beside it if the peer is on the same link.
        link_local: Option<Ipv6Addr>,
    },
}

/// The attributes of a route other than those the session sets (origin, path, next hop).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attributes {
    /// LOCAL_PREF; internal sessions only, where `None` means 100.
    pub local_pref: Option<u32>,
    /// COMMUNITIES.
    pub communities: BTreeSet<StandardCommunity>,
    /// LARGE_COMMUNITY.
    pub large_communities: BTreeSet<LargeCommunity>,
}

impl Attributes {
    /// No attributes.
    pub const NONE: Self =
        Self { local_pref: None, communities: BTreeSet::new(), large_communities: BTreeSet::new() };
}
