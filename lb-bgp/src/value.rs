//! Numbers of BGP, each with its type: valid once built.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

/// Number of an autonomous system (RFC 6793): never zero (RFC 7607).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(NonZeroU32);

impl Asn {
    /// What stands in a two-octet field where a number does not fit (RFC 6793 section 9).
    pub const TRANS: u16 = 23_456;

    /// An AS number; `None` for zero.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The number in two octets, or [`Self::TRANS`].
    pub(crate) fn two_octets(self) -> u16 {
        u16::try_from(self.get()).unwrap_or(Self::TRANS)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// BGP identifier: unique in an AS and never zero (RFC 6286); written as an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(NonZeroU32);

impl RouterId {
    /// An identifier; `None` for 0.0.0.0.
    pub const fn new(address: Ipv4Addr) -> Option<Self> {
        match NonZeroU32::new(address.to_bits()) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// As an address.
    pub const fn address(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.0.get())
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(formatter)
    }
}

/// Hold time in seconds: zero (no keepalives) or at least three (RFC 4271 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldTime(u16);

impl HoldTime {
    /// What is proposed if nobody says otherwise.
    pub const DEFAULT: Self = Self(90);

    /// A hold time; `None` for one or two seconds.
    pub const fn new(seconds: u16) -> Option<Self> {
        if seconds == 1 || seconds == 2 { None } else { Some(Self(seconds)) }
    }

    /// In seconds; zero for none.
    pub const fn seconds(self) -> u16 {
        self.0
    }

    /// As a duration; `None` for no hold time.
    pub const fn duration(self) -> Option<Duration> {
        if self.0 == 0 { None } else { Some(Duration::from_secs(self.0 as u64)) }
    }
}

/// What routes are of (RFC 4760): always unicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4,
    /// AFI 2, SAFI 1.
    Ipv6,
}

impl Family {
    /// Unicast.
    pub(crate) const SAFI: u8 = 1;

    /// The address family's number.
    pub const fn afi(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }

    /// By its numbers; `None` for a family that is not spoken here.
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
pub struct Community(pub u32);

impl Community {
    /// Asks routers to prefer other ways, because this one is about to go (RFC 8326): 65535:0.
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);

    /// Of its two halves.
    pub const fn new(high: u16, low: u16) -> Self {
        Self((high as u32) << 16 | low as u32)
    }
}

impl fmt::Display for Community {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// A large community (RFC 8092): administrator and two numbers of its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity(pub [u32; 3]);

impl fmt::Display for LargeCommunity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [administrator, first, second] = self.0;
        write!(formatter, "{administrator}:{first}:{second}")
    }
}

/// Where a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// For IPv4 routes.
    V4(Ipv4Addr),
    /// For IPv6 routes (RFC 2545 section 3), and for IPv4 routes where the router takes them so (RFC 8950).
    V6 {
        /// The address; a link-local one on an unnumbered link.
        address: Ipv6Addr,
        /// The link-local address beside it, where both are on one link.
        link_local: Option<Ipv6Addr>,
    },
}

/// What is said about a route, but for what the session itself knows (origin, path, next hop).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attributes {
    /// LOCAL_PREF, sent on internal sessions only; `None` there sends 100.
    pub local_pref: Option<u32>,
    /// COMMUNITIES.
    pub communities: BTreeSet<Community>,
    /// LARGE_COMMUNITY.
    pub large_communities: BTreeSet<LargeCommunity>,
}
