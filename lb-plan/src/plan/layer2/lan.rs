//! The uplinks that announce an address: one on each LAN, so that a request gets one answer.
//!
//! Two uplinks are on one LAN if an on-link prefix of one equals or contains an on-link prefix of the other.
//! The LAN of an uplink without an address of the family is unknown; it answers for addresses that are
//! on-link on no uplink.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::maps::capacity;

use super::super::settings::Uplink;

/// The uplinks of a machine that may announce, with their numbers: positions in the order of interface
/// indices.
pub(super) struct Uplinks<'a> {
    /// Those with a carrier first.
    preferred: Vec<(u16, &'a Uplink)>,
    /// Those that answer for an address that is on-link on none, by family: IPv4, IPv6.
    off_link: [u64; 2],
    /// Whether a network of a family is known.
    has_network: [bool; 2],
}

impl<'a> Uplinks<'a> {
    /// Returns those of the uplinks that may be used, by their names.
    pub(super) fn of(uplinks: &'a BTreeMap<u32, Uplink>, may_use: impl Fn(&str) -> bool) -> Self {
        let numbered = (0..).zip(uplinks.values()).take(capacity::LINKS);
        let mut preferred: Vec<_> = numbered.filter(|(_, uplink)| may_use(&uplink.name)).collect();
        preferred.sort_by_key(|(_, uplink)| !uplink.has_carrier);
        let off_link = [false, true].map(|is_v6| one_of_each_lan(&preferred, is_v6));
        let has_network = [false, true]
            .map(|is_v6| preferred.iter().any(|(_, uplink)| lans(uplink, is_v6).next().is_some()));
        Self { preferred, off_link, has_network }
    }

    /// Returns a bit for each uplink that answers, by its number.
    ///
    /// An address that is on-link on an uplink is answered there only: on the first with a carrier. Any other
    /// address is answered once on each LAN.
    pub(super) fn answering(&self, address: IpAddr) -> u64 {
        let on_link = self.on_link(address).map(|number| 1 << number);
        on_link.unwrap_or(self.off_link[usize::from(address.is_ipv6())])
    }

    /// Returns whether an address is in none of the networks. Without a network of its family, nothing is
    /// known of the LAN.
    pub(super) fn is_off_link(&self, address: IpAddr) -> bool {
        self.has_network[usize::from(address.is_ipv6())] && self.on_link(address).is_none()
    }

    fn on_link(&self, address: IpAddr) -> Option<u16> {
        let contains = |uplink: &Uplink| uplink.networks.iter().any(|net| net.contains(&address));
        self.preferred.iter().find(|(_, uplink)| contains(uplink)).map(|(number, _)| *number)
    }
}

/// Returns the on-link networks of an uplink. A host address, as of an anycast service, has none.
fn lans(uplink: &Uplink, is_v6: bool) -> impl Iterator<Item = &IpNet> {
    let networks = uplink.networks.iter().filter(move |net| net.addr().is_ipv6() == is_v6);
    networks.filter(|net| net.prefix_len() < net.max_prefix_len())
}

fn one_of_each_lan(preferred: &[(u16, &Uplink)], is_v6: bool) -> u64 {
    let (mut chosen, mut known) = (0, BTreeSet::new());
    for (number, uplink) in preferred {
        let meets = |one: &IpNet| known.iter().any(|it: &IpNet| it.contains(one) || one.contains(it));
        if !lans(uplink, is_v6).any(meets) {
            chosen |= 1 << number;
            known.extend(lans(uplink, is_v6).copied());
        }
    }
    chosen
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
        let bits = Uplinks::of(&uplinks, |_| true).answering(address.parse().unwrap());
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
