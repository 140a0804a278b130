//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, sections 3 and 4).

use std::net::Ipv4Addr;

use ipnet::IpNet;

use super::prefix;
use super::reader::OctetReader;
use crate::value::{AddressFamily, RouteNextHop};

/// One of the two attributes.
#[derive(Clone, Debug)]
pub(super) enum Multiprotocol<T> {
    /// Of a negotiated family.
    Negotiated(AddressFamily, T),
    /// Of another family: the rest is unreadable.
    Other,
}

/// Reads the family at the start of both attributes; `None` if truncated.
pub(super) fn family(value: &mut OctetReader<'_>, families: &[AddressFamily]) -> Option<Multiprotocol<()>> {
    let family = AddressFamily::new(value.u16()?, value.u8()?).filter(|family| families.contains(family));
    Some(family.map_or(Multiprotocol::Other, |family| Multiprotocol::Negotiated(family, ())))
}

/// Reads MP_REACH_NLRI after the family; `None` if incorrect (RFC 7606, sections 5.3 and 7.11).
pub(super) fn reach(
    value: &mut OctetReader<'_>,
    family: AddressFamily,
    extended_next_hop: bool,
) -> Option<(RouteNextHop, Vec<IpNet>)> {
    let length = value.u8()?;
    let next_hop = next_hop(value.part(length.into())?, family, extended_next_hop)?;
    let _reserved = value.u8()?;
    Some((next_hop, prefix::read_all(*value, family)?))
}

/// RFC 4760 for IPv4, RFC 2545 for IPv6, RFC 8950 for IPv4 with an IPv6 next hop.
fn next_hop(
    mut value: OctetReader<'_>,
    family: AddressFamily,
    extended_next_hop: bool,
) -> Option<RouteNextHop> {
    let takes_v6 = family == AddressFamily::Ipv6 || extended_next_hop;
    match value.rest().len() {
        4 if family == AddressFamily::Ipv4 => value.all().map(Ipv4Addr::from).map(RouteNextHop::V4),
        16 if takes_v6 => Some(RouteNextHop::V6 { address: value.all::<16>()?.into(), link_local: None }),
        32 if takes_v6 => {
            let (address, link_local) = (value.array::<16>()?.into(), value.array::<16>()?.into());
            Some(RouteNextHop::V6 { address, link_local: Some(link_local) })
        }
        _ => None,
    }
}

/// Returns MP_REACH_NLRI up to its prefixes.
pub(super) fn reach_head(family: AddressFamily, next_hop: RouteNextHop) -> Vec<u8> {
    let mut head = family_head(family);
    let next_hop = match (family, next_hop) {
        (AddressFamily::Ipv4, RouteNextHop::V4(address)) => address.octets().to_vec(),
        // RFC 4798, section 2: an IPv4 next hop of IPv6 routes is an IPv4-mapped address.
        (AddressFamily::Ipv6, RouteNextHop::V4(address)) => address.to_ipv6_mapped().octets().to_vec(),
        (_, RouteNextHop::V6 { address, link_local: None }) => address.octets().to_vec(),
        (_, RouteNextHop::V6 { address, link_local: Some(link_local) }) => {
            [address.octets(), link_local.octets()].concat()
        }
    };
    head.extend(u8::try_from(next_hop.len()));
    head.extend(next_hop);
    head.push(0);
    head
}

/// Returns MP_UNREACH_NLRI up to its prefixes.
pub(super) fn family_head(family: AddressFamily) -> Vec<u8> {
    let [high, low] = family.afi().to_be_bytes();
    vec![high, low, AddressFamily::SAFI]
}
