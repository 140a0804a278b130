//! The solicited-node multicast groups to join (RFC 4291 section 2.7.1).
//!
//! A solicitation is sent to the group of its target. Without a listener that reports the group (MLD), a
//! switch that snoops does not forward it, and without the filter entry that comes with it a NIC drops it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use lb_common::wire::ndp;

use crate::table::L2Table;

/// Returns the groups of all IPv6 addresses that this node may announce, with the interface index of the
/// link.
pub fn solicited_node_groups(table: &L2Table) -> BTreeSet<(u32, Ipv6Addr)> {
    let mut groups = BTreeSet::new();
    for (address, entry) in &table.addresses {
        let IpAddr::V6(address) = address else { continue };
        let group = Ipv6Addr::from(ndp::solicited_node(address.octets()));
        groups.extend(entry.links.iter().map(|link| (*link, group)));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::L2Address;

    #[test]
    fn each_link_of_an_ipv6_address_has_its_group() {
        let mut table = L2Table::empty();
        let entry = |links: &[u32]| L2Address { ranks: [0; 8], links: links.to_vec(), is_known: false };
        table.addresses.insert("192.0.2.1".parse().unwrap(), entry(&[1]));
        table.addresses.insert("2001:db8::1:2".parse().unwrap(), entry(&[1, 2]));
        table.addresses.insert("2001:db8:1::1:2".parse().unwrap(), entry(&[1]));
        table.addresses.insert("2001:db8::ab:cdef".parse().unwrap(), entry(&[2]));
        table.addresses.insert("2001:db8::4".parse().unwrap(), entry(&[]));
        let group = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let expected =
            [(1, group("ff02::1:ff01:2")), (2, group("ff02::1:ff01:2")), (2, group("ff02::1:ffab:cdef"))];
        assert_eq!(solicited_node_groups(&table), expected.into());
    }
}
