//! Keys of the maps, as values without a byte order.

use std::net::IpAddr;

use lb_common::maps::{Vip4Key, Vip6Key};

/// A VIP: a port of an address, or the address itself if `port` and `protocol` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VipKey {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
}

/// A VIP's key as stored in `lb_vips4` or `lb_vips6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKey {
    /// In `lb_vips4`.
    V4(Vip4Key),
    /// In `lb_vips6`.
    V6(Vip6Key),
}

impl VipKey {
    /// Returns the key of the address itself.
    pub(crate) fn of_address(address: IpAddr) -> Self {
        Self { address, port: 0, protocol: 0 }
    }

    /// Returns whether it is the key of an address itself.
    pub fn is_address(&self) -> bool {
        self.port == 0 && self.protocol == 0
    }

    /// Returns the key as stored in its map.
    pub fn map_key(&self) -> MapKey {
        let port = self.port.to_be_bytes();
        match self.address {
            IpAddr::V4(address) => MapKey::V4(Vip4Key::port(address.octets(), port, self.protocol)),
            IpAddr::V6(address) => MapKey::V6(Vip6Key::port(address.octets(), port, self.protocol)),
        }
    }
}

impl From<Vip4Key> for VipKey {
    fn from(key: Vip4Key) -> Self {
        Self { address: key.address.into(), port: u16::from_be_bytes(key.port), protocol: key.protocol }
    }
}

impl From<Vip6Key> for VipKey {
    fn from(key: Vip6Key) -> Self {
        Self { address: key.address.into(), port: u16::from_be_bytes(key.port), protocol: key.protocol }
    }
}

/// Returns the key of a node's address in `lb_node_addrs`: IPv4 as `::ffff:a.b.c.d`.
pub(crate) fn address_key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Returns the key of a node's MAC in `lb_node_macs`.
pub(crate) fn mac_key(mac: [u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac;
    [a, b, c, d, e, f, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_round_trips_through_its_map() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let key = VipKey { address: address.parse().unwrap(), port: 0x1234, protocol: 17 };
            let back = match key.map_key() {
                MapKey::V4(key) => {
                    assert_eq!((key.port, key.pad), ([0x12, 0x34], 0));
                    VipKey::from(key)
                }
                MapKey::V6(key) => VipKey::from(key),
            };
            assert_eq!(back, key);
            assert!(!key.is_address() && VipKey::of_address(key.address).is_address());
        }
    }

    #[test]
    fn an_ipv4_peer_is_a_mapped_address() {
        assert_eq!(address_key("192.0.2.1".parse().unwrap())[10..], [0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(mac_key([1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6, 0, 0]);
    }
}
