//! The identity of this node towards routers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_bgp::session::NextHops;
use lb_bgp::value::RouterId;
use lb_common::fnv::fnv1a;

/// The identity of this node towards routers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpeakerIdentity {
    /// Node name.
    pub name: String,
    /// BGP identifier, if configured.
    pub router_id: Option<RouterId>,
    /// The node's addresses, the primary one first.
    pub addresses: Vec<IpAddr>,
}

impl SpeakerIdentity {
    /// Returns the BGP identifier: as configured, else the node's IPv4 address, else derived from the node's
    /// name, which is stable over restarts and upgrades.
    pub fn router_id(&self) -> RouterId {
        let own = || self.v4().and_then(RouterId::new);
        let derived = || RouterId::new(Ipv4Addr::from_bits(hash(0, &self.name) as u32));
        // One name in four billion hashes to zero.
        self.router_id.or_else(own).or_else(derived).unwrap_or(FALLBACK)
    }

    /// Returns the next hops for the family that the session does not use; its own family uses the
    /// connection's address.
    pub fn next_hops(&self, peer: IpAddr) -> NextHops {
        let own = NextHops::default();
        match peer {
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
    None => panic!("not zero"),
};

/// FNV-1a; the result must not change between versions.
pub(super) fn hash(seed: u64, text: &str) -> u64 {
    let mixed = fnv1a(seed.to_be_bytes().into_iter().chain(text.bytes()));
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(addresses: &[&str]) -> SpeakerIdentity {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        SpeakerIdentity { name: "n1".into(), router_id: None, addresses }
    }

    #[test]
    fn the_router_id_is_configured_or_an_address_or_derived_from_the_name() {
        let configured = RouterId::new(Ipv4Addr::new(1, 2, 3, 4));
        let both = node(&["2001:db8::1", "192.0.2.1"]);
        assert_eq!(
            SpeakerIdentity { router_id: configured, ..both.clone() }.router_id().to_string(),
            "1.2.3.4"
        );
        assert_eq!(both.router_id().to_string(), "192.0.2.1");
        let derived = node(&["2001:db8::1"]).router_id();
        assert_ne!(derived, SpeakerIdentity { name: "n2".into(), ..node(&["2001:db8::1"]) }.router_id());
        assert_eq!(derived, node(&[]).router_id());
    }

    #[test]
    fn the_next_hop_of_the_other_family_is_the_nodes_address() {
        let both = node(&["192.0.2.1", "2001:db8::1"]);
        let over_v4 = both.next_hops("192.0.2.9".parse().unwrap());
        assert_eq!(over_v4, NextHops { v6: "2001:db8::1".parse().ok(), ..NextHops::default() });
        let over_v6 = both.next_hops("2001:db8::9".parse().unwrap());
        assert_eq!(over_v6, NextHops { v4: "192.0.2.1".parse().ok(), ..NextHops::default() });
    }
}
