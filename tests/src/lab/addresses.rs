//! The addressing plan: every address is derived from a number in the topology.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Added to a node's or client's number to get its position in a segment.
pub(crate) const FIRST_MEMBER: u8 = 10;
/// Added to an additional router's number to get its position in a rack.
const FIRST_ROUTER: u8 = 200;
/// The router's position in every segment, and the node's own in its pods' network.
const GATEWAY: u8 = 1;
/// Every pod of the cluster, IPv4.
pub(crate) const PODS_V4: &str = "10.244.0.0/16";
/// Every pod of the cluster, IPv6.
pub(crate) const PODS_V6: &str = "fd00:244::/32";

/// The IPv4 and the IPv6 address of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddresses {
    /// IPv4.
    pub v4: Ipv4Addr,
    /// IPv6.
    pub v6: Ipv6Addr,
}

impl HostAddresses {
    /// Returns the address of the given family.
    #[must_use]
    pub fn of(&self, family: IpVersion) -> IpAddr {
        match family {
            IpVersion::V4 => self.v4.into(),
            IpVersion::V6 => self.v6.into(),
        }
    }

    /// Returns whether `address` is one of the two.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address == self.v4 || address == self.v6
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// Both families.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// Returns the family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Returns the prefix length of a single address.
    #[must_use]
    pub fn host_length(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// A broadcast domain: a bridge, the router and the members.
#[derive(Clone, Debug)]
pub struct Segment {
    /// `clients`, or `rack-` and the rack's letter.
    pub name: String,
    /// The first three bytes of its /24.
    v4: [u8; 3],
    /// The first four words of its /64.
    v6: [u16; 4],
}

impl Segment {
    /// Returns the clients' network.
    #[must_use]
    pub fn clients() -> Self {
        Self { name: "clients".into(), v4: [192, 0, 2], v6: [0x2001, 0xdb8, 0xc, 0] }
    }

    /// Returns the network of a rack, from `a`.
    #[must_use]
    pub fn rack(letter: char) -> Self {
        let number = u8::try_from(letter).unwrap_or(b'z').wrapping_sub(b'a' - 1);
        Self { name: format!("rack-{letter}"), v4: [10, number, 0], v6: [0xfd00, number.into(), 0, 0] }
    }

    /// Returns the name of the host that is its bridge.
    #[must_use]
    pub fn switch(&self) -> String {
        format!("switch-{}", self.name.trim_start_matches("rack-"))
    }

    /// Returns the addresses at a position in the network.
    #[must_use]
    pub fn member(&self, place: u8) -> HostAddresses {
        let [a, b, c] = self.v4;
        let [p, q, r, s] = self.v6;
        HostAddresses {
            v4: Ipv4Addr::new(a, b, c, place),
            v6: Ipv6Addr::new(p, q, r, s, 0, 0, 0, written_as_hex(place)),
        }
    }

    /// Returns the addresses of router `r<number>` in it.
    #[must_use]
    pub(crate) fn router(&self, number: u8) -> HostAddresses {
        self.member(number.saturating_add(FIRST_ROUTER))
    }

    /// Returns the router's addresses in it.
    #[must_use]
    pub fn gateway(&self) -> HostAddresses {
        self.member(GATEWAY)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

/// Returns the addresses of a client.
#[must_use]
pub(crate) fn client(number: u8) -> HostAddresses {
    Segment::clients().member(number.saturating_add(FIRST_MEMBER))
}

/// Returns the addresses of a pod: 10.244.NODE.POD and fd00:244:NODE::POD.
#[must_use]
pub(crate) fn pod(node: u8, pod: u8) -> HostAddresses {
    HostAddresses {
        v4: Ipv4Addr::new(10, 244, node, pod),
        v6: Ipv6Addr::new(0xfd00, 0x244, written_as_hex(node), 0, 0, 0, 0, written_as_hex(pod)),
    }
}

/// Returns the node's own addresses in its pods' network.
#[must_use]
pub(crate) fn pod_gateway(node: u8) -> HostAddresses {
    pod(node, GATEWAY)
}

/// Returns the cluster IPs of the Service at this index in the topology.
#[must_use]
pub(crate) fn cluster_ip(service: usize) -> HostAddresses {
    let place = u8::try_from(service).unwrap_or(u8::MAX).saturating_add(FIRST_MEMBER);
    HostAddresses {
        v4: Ipv4Addr::new(10, 96, 0, place),
        v6: Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, written_as_hex(place)),
    }
}

/// Converts 13 to 0x13, so that fd00:1::13 corresponds to 10.1.0.13 in all output.
fn written_as_hex(number: u8) -> u16 {
    let number = u16::from(number);
    ((number / 100) << 8) | ((number / 10 % 10) << 4) | (number % 10)
}
