//! Properties of IP addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns whether the address is valid only together with an interface.
pub(super) const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Returns the unspecified address of the same family.
pub(super) const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
