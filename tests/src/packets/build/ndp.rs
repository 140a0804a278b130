//! Neighbor Solicitations and Neighbor Advertisements.

use super::{Addresses, Frame};
use crate::packets::fixture::{CLIENT6, Mac, ROUTER_MAC};

/// All nodes on the link, and their MAC.
const ALL_NODES: ([u8; 16], Mac) =
    ([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]);

/// Returns the group of an address to which solicitations go, and its MAC.
pub const fn solicited_node(address: [u8; 16]) -> ([u8; 16], Mac) {
    let [.., a, b, c] = address;
    ([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c], [0x33, 0x33, 0xff, a, b, c])
}

/// Returns the option with the sender's MAC.
pub fn source_mac(mac: Mac) -> Vec<u8> {
    [&[1, 1], mac.as_slice()].concat()
}

impl Frame {
    /// Builds a solicitation of `target` to its group, from the client's address and the router's MAC.
    pub fn solicitation(target: [u8; 16]) -> Self {
        Self::bare_solicitation(target).ndp_options(&source_mac(ROUTER_MAC))
    }

    /// The same without the option with the sender's MAC.
    pub fn bare_solicitation(target: [u8; 16]) -> Self {
        let (group, mac) = solicited_node(target);
        let rest = [[0; 4].as_slice(), &target].concat();
        Self::v6(CLIENT6, group).macs(mac, ROUTER_MAC).ttl(255).message(135, 0, &rest)
    }

    /// Builds the solicitation of a host that checks whether it may use `target`.
    pub fn duplicate_check(target: [u8; 16]) -> Self {
        Self::bare_solicitation(target).from_source([0; 16])
    }

    /// Builds the advertisement of `target` at this MAC that answers a solicitation of the host `asker`.
    pub fn advertisement(solicitation: &Self, target: [u8; 16], mac: Mac, asker: Mac) -> Self {
        let source = match solicitation.addresses {
            Addresses::V6(source, _) => source,
            Addresses::V4(..) => [0; 16],
        };
        let ((to, to_mac), flags) =
            if source == [0; 16] { (ALL_NODES, 0x20) } else { ((source, asker), 0x60) };
        let rest = [[flags, 0, 0, 0].as_slice(), &target, &[2, 1], &mac].concat();
        let reply = Self::v6(target, to).macs(to_mac, mac).ttl(255).message(136, 0, &rest);
        Self { tags: solicitation.tags.clone(), ..reply }
    }

    /// Adds options to a message of Neighbor Discovery.
    pub fn ndp_options(mut self, options: &[u8]) -> Self {
        self.upper.payload_mut().extend_from_slice(options);
        self
    }

    /// Replaces the source of an IPv6 packet.
    pub fn from_source(self, source: [u8; 16]) -> Self {
        match self.addresses {
            Addresses::V6(_, destination) => Self { addresses: Addresses::V6(source, destination), ..self },
            Addresses::V4(..) => self,
        }
    }

    /// Replaces the destination of an IPv6 packet.
    pub fn to_destination(self, destination: [u8; 16]) -> Self {
        match self.addresses {
            Addresses::V6(source, _) => Self { addresses: Addresses::V6(source, destination), ..self },
            Addresses::V4(..) => self,
        }
    }
}
