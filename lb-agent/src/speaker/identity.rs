//! What this node is to routers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_bgp::session::NextHops;
use lb_bgp::value::RouterId;
use lb_common::fnv::fnv1a;

/// What this node is to routers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its BGP identifier, if one was chosen.
    pub router_id: Option<RouterId>,
    /// Its addresses, the primary one first.
    pub addresses: Vec<IpAddr>,
}

impl Identity {
    /// The BGP identifier: the one that was chosen, else the node's IPv4 address, else a number made of its
    /// name, which stays the same over restarts and upgrades.
    pub fn router_id(&self) -> RouterId {
        let own = || self.v4().and_then(RouterId::new);
        let made = || RouterId::new(Ipv4Addr::from_bits(hash(0, &self.name) as u32));
        // The hash of one name in four thousand millions is zero.
        self.router_id.or_else(own).or_else(made).unwrap_or(FALLBACK)
    }

    /// Where routes lead to that are not of the session's own family: a connection's address leads to
    /// itself.
    pub fn next_hops(&self, neighbour: IpAddr) -> NextHops {
        let own = NextHops::default();
        match neighbour {
            IpAddr::V4(_) => NextHops { v6: self.v6(), ..own },
            IpAddr::V6(_) => NextHops { v4: self.v4(), ..own },
        }
    }

    fn v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    fn v6(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(*address),
        })
    }
}

const FALLBACK: RouterId = match RouterId::new(Ipv4Addr::LOCALHOST) {
    Some(id) => id,
    None => panic!("it is not zero"),
};

/// FNV-1a, which will be the same in every version of this program.
pub(super) fn hash(seed: u64, text: &str) -> u64 {
    let mixed = fnv1a(seed.to_be_bytes().into_iter().chain(text.bytes()));
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(addresses: &[&str]) -> Identity {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Identity { name: "n1".into(), router_id: None, addresses }
    }

    #[test]
    fn the_identifier_is_the_chosen_one_else_the_address_else_made_of_the_name() {
        let chosen = RouterId::new(Ipv4Addr::new(1, 2, 3, 4));
        let both = node(&["2001:db8::1", "192.0.2.1"]);
        assert_eq!(Identity { router_id: chosen, ..both.clone() }.router_id().to_string(), "1.2.3.4");
        assert_eq!(both.router_id().to_string(), "192.0.2.1");
        let made = node(&["2001:db8::1"]).router_id();
        assert_ne!(made, Identity { name: "n2".into(), ..node(&["2001:db8::1"]) }.router_id());
        assert_eq!(made, node(&[]).router_id());
    }

    #[test]
    fn routes_of_the_other_family_lead_to_the_nodes_own_address() {
        let both = node(&["192.0.2.1", "2001:db8::1"]);
        let over_v4 = both.next_hops("192.0.2.9".parse().unwrap());
        assert_eq!(over_v4, NextHops { v6: "2001:db8::1".parse().ok(), ..NextHops::default() });
        let over_v6 = both.next_hops("2001:db8::9".parse().unwrap());
        assert_eq!(over_v6, NextHops { v4: "192.0.2.1".parse().ok(), ..NextHops::default() });
    }
}
