//! The routes a router learns from UPDATEs.

use std::collections::BTreeMap;

use ipnet::IpNet;
use lb_bgp::codec::{self, Decoding};
use lb_bgp::message::{Message, Update};
use lb_bgp::value::{AddressFamily, Asn, Attributes, RouteNextHop, StandardCommunity};

/// Next hop, path and attributes of a prefix.
pub(crate) type Route = (RouteNextHop, Vec<Asn>, Attributes);

/// Routes, and the End-of-RIB markers received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rib {
    pub(crate) routes: BTreeMap<IpNet, Route>,
    pub(crate) ends: Vec<AddressFamily>,
    pub(crate) updates: usize,
}

impl Rib {
    pub(crate) fn apply(&mut self, update: Update) {
        assert_eq!(update.flaws, [], "our UPDATE has flaws");
        self.updates += 1;
        self.ends.extend(update.end_of_rib);
        for prefix in update.withdrawn {
            self.routes.remove(&prefix);
        }
        if let Some(reach) = update.reach {
            for prefix in reach.prefixes {
                let route = (reach.next_hop, reach.as_path.clone(), reach.attributes.clone());
                self.routes.insert(prefix, route);
            }
        }
    }

    /// Returns prefixes and attributes.
    pub(crate) fn advertised(&self) -> BTreeMap<IpNet, Attributes> {
        self.routes.iter().map(|(prefix, (_, _, attributes))| (*prefix, attributes.clone())).collect()
    }
}

/// Reassembles messages from a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageStream {
    rest: Vec<u8>,
    /// OPEN lacked the four-octet AS number capability.
    two_octet_asn: bool,
}

impl MessageStream {
    pub(crate) fn read(&mut self, bytes: &[u8], internal: bool) -> Vec<Message> {
        self.rest.extend(bytes);
        let mut messages = Vec::new();
        while let Some(length) = codec::frame(&self.rest, 65_535).unwrap() {
            let message: Vec<u8> = self.rest.drain(..length).collect();
            let context = Decoding {
                internal,
                four_octet_asn: !self.two_octet_asn,
                extended_next_hop: true,
                families: &[AddressFamily::Ipv4, AddressFamily::Ipv6],
                max_length: 65_535,
            };
            let message = codec::decode(&message, &context).unwrap();
            if let Message::Open(open) = &message {
                self.two_octet_asn = !open.capabilities.four_octet_asn;
            }
            messages.push(message);
        }
        messages
    }
}

/// Returns attributes that differ by number.
pub(crate) fn attributes(number: u32) -> Attributes {
    Attributes { communities: [StandardCommunity(number)].into(), ..Attributes::default() }
}

/// Returns a prefix by number: odd ones are IPv6.
pub(crate) fn prefix(number: u32) -> IpNet {
    if number.is_multiple_of(2) {
        IpNet::new(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into(), 32).unwrap()
    } else {
        IpNet::new(std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(number)).into(), 128)
            .unwrap()
    }
}
