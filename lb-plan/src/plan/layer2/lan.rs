//! The uplinks that announce an address: one on each LAN, so that a request gets one answer.
//!
//! Two uplinks are on one LAN if an on-link prefix of one equals or contains an on-link prefix of the other.
//! The LAN of an uplink without an address of the family is unknown; it answers for addresses that are on-link on no
//! uplink.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::maps::capacity;

use super::super::settings::Uplink;

/// Returns a bit for each uplink that answers, by its number: its position in the order of interface indices.
///
/// An address that is on-link on an uplink is answered there only: on the first with a carrier. Any other
/// address is answered once on each LAN. Only uplinks that may be used count.
pub(super) fn answering(
    uplinks: &BTreeMap<u32, Uplink>,
    may_use: impl Fn(&Uplink) -> bool,
    address: IpAddr,
) -> u64 {
    let numbered = (0..).zip(uplinks.values()).take(capacity::LINKS).filter(|(_, uplink)| may_use(uplink));
    let (with, without): (Vec<_>, Vec<_>) = numbered.partition(|(_, uplink)| uplink.has_carrier);
    // In order of preference.
    let ordered = || with.iter().chain(&without);
    let on_link = ordered().find(|(_, uplink)| uplink.networks.iter().any(|net| net.contains(&address)));
    if let Some((number, _)) = on_link {
        return 1 << number;
    }
    let (mut chosen, mut lans) = (0, BTreeSet::new());
    for (number, uplink) in ordered() {
        let networks: BTreeSet<IpNet> =
            uplink.networks.iter().filter(|net| net.addr().is_ipv4() == address.is_ipv4()).copied().collect();
        if is_disjoint(&networks, &lans) {
            chosen |= 1 << number;
            lans.extend(&networks);
        }
    }
    chosen
}

fn is_disjoint(networks: &BTreeSet<IpNet>, lans: &BTreeSet<IpNet>) -> bool {
    // A host address, as of an anycast service, has no on-link network.
    let lan = |net: &&IpNet| net.prefix_len() < net.max_prefix_len();
    let meets = |one: &IpNet| lans.iter().filter(lan).any(|it| it.contains(one) || one.contains(it));
    !networks.iter().filter(lan).any(meets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uplinks by their networks; a leading `-` means no carrier.
    fn answered(uplinks: &[&str], address: &str) -> Vec<u32> {
        let uplink = |text: &&str| {
            let networks = text.trim_start_matches('-').split_whitespace();
            let networks = networks.map(|net| net.parse().unwrap()).collect();
            Uplink { has_carrier: !text.starts_with('-'), networks, ..Uplink::default() }
        };
        let uplinks: BTreeMap<u32, Uplink> = (10..).zip(uplinks.iter().map(uplink)).collect();
        let bits = answering(&uplinks, |_| true, address.parse().unwrap());
        (0..64).filter(|number| bits >> number & 1 != 0).collect()
    }

    #[test]
    fn an_address_is_answered_once_on_each_lan() {
        let lan = "10.1.0.11/24";
        for (what, uplinks, address, expected) in [
            ("one uplink", &[lan][..], "10.1.0.200", &[0][..]),
            ("one without an address", &[""], "10.1.0.200", &[0]),
            ("the second port has no address", &[lan, ""], "10.1.0.200", &[0]),
            ("nor has the first", &["", lan], "10.1.0.200", &[1]),
            ("both have", &[lan, "10.1.0.12/24"], "10.1.0.200", &[0]),
            ("the first has no carrier", &["-10.1.0.11/24", "10.1.0.12/24"], "10.1.0.200", &[1]),
            ("none has", &["-10.1.0.11/24", "-10.1.0.12/24"], "10.1.0.200", &[0]),
            ("two LANs, and the address is of one", &[lan, "10.2.0.11/24"], "10.2.0.200", &[1]),
            ("of neither", &[lan, "10.2.0.11/24"], "203.0.113.1", &[0, 1]),
            (
                "of neither, and two are on one",
                &[lan, "10.1.0.12/24", "10.2.0.11/24"],
                "203.0.113.1",
                &[0, 2],
            ),
            ("prefixes of two lengths", &[lan, "10.1.0.12/16"], "203.0.113.1", &[0]),
            ("a LAN of which nothing is known", &[lan, ""], "203.0.113.1", &[0, 1]),
            (
                "IPv6, and one LAN by it",
                &["10.1.0.11/24 2001:db8:1::1/64", "2001:db8:1::2/64"],
                "2001:db8:9::1",
                &[0],
            ),
            ("IPv6, and two LANs", &["2001:db8:1::1/64", "2001:db8:2::2/64"], "2001:db8:2::99", &[1]),
            ("host addresses make no LAN", &["192.0.2.1/32", "192.0.2.1/32"], "203.0.113.1", &[0, 1]),
        ] {
            assert_eq!(answered(uplinks, address), expected, "{what}");
        }
    }
}
