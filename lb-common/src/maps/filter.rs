//! Bloom-style filters, one bit per key, in front of lookups that nearly always fail: VIP addresses and MAC
//! addresses of nodes.

/// Words of the filter, for each IP version.
const WORDS: usize = 512;
/// Bits of a place in it.
const BITS: u32 = (WORDS * 64).ilog2();

/// A set of IP addresses with false positives and no false negatives.
///
/// Consecutive addresses, as in a pool, have places of their own: 32,768 of them fill the filter without a
/// collision. So the share of packets to other addresses that are looked up in vain is the number of
/// addresses in the set / 32,768. A lookup touches one word, whatever the size of the set.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFilter {
    pub(crate) v4: [u64; WORDS],
    pub(crate) v6: [u64; WORDS],
}

impl AddressFilter {
    /// The empty set.
    pub const EMPTY: Self = Self { v4: [0; WORDS], v6: [0; WORDS] };

    /// Adds an IPv4 address.
    pub fn add4(&mut self, address: [u8; 4]) {
        set(&mut self.v4, place4(address));
    }

    /// Adds an IPv6 address.
    pub fn add6(&mut self, address: [u8; 16]) {
        set(&mut self.v6, place6(address));
    }

    /// Returns whether an IPv4 address may be in the set.
    #[inline(always)]
    pub fn may_hold4(&self, address: [u8; 4]) -> bool {
        get(&self.v4, place4(address))
    }

    /// Returns whether an IPv6 address may be in the set.
    #[inline(always)]
    pub fn may_hold6(&self, address: [u8; 16]) -> bool {
        get(&self.v6, place6(address))
    }
}

fn set<const N: usize>(words: &mut [u64; N], place: u32) {
    if let Some(word) = words.get_mut((place >> 6) as usize % N) {
        *word |= 1 << (place & 63);
    }
}

#[inline(always)]
fn get<const N: usize>(words: &[u64; N], place: u32) -> bool {
    let word = words.get((place >> 6) as usize % N).copied().unwrap_or(0);
    word >> (place & 63) & 1 != 0
}

/// Multiplication by the golden ratio spreads consecutive numbers as far apart as possible.
#[inline(always)]
const fn place4(address: [u8; 4]) -> u32 {
    u32::from_be_bytes(address).wrapping_mul(0x9e37_79b1) >> (32 - BITS)
}

#[inline(always)]
const fn place6(address: [u8; 16]) -> u32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    let network = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let host = u64::from_be_bytes([i, j, k, l, m, n, o, p]);
    let mixed = network.wrapping_mul(0xff51_afd7_ed55_8ccd).wrapping_add(host);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as u32
}

/// Words of the filter of MAC addresses.
const MAC_WORDS: usize = 256;
/// Bits of a place in it.
const MAC_BITS: u32 = (MAC_WORDS * 64).ilog2();

/// A set of MAC addresses with false positives (6 % if it holds a thousand) and no false negatives. A lookup
/// touches one word.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacFilter {
    pub(crate) words: [u64; MAC_WORDS],
}

impl MacFilter {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; MAC_WORDS] };

    /// Adds an address, as a number.
    pub fn add(&mut self, mac: u64) {
        set(&mut self.words, place_mac(mac));
    }

    /// Returns whether an address may be in the set.
    #[inline(always)]
    pub fn may_hold(&self, mac: u64) -> bool {
        get(&self.words, place_mac(mac))
    }
}

#[inline(always)]
const fn place_mac(mac: u64) -> u32 {
    (mac.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - MAC_BITS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_added_and_pools_do_not_collide() {
        let mut filter = AddressFilter::EMPTY;
        let pool = |n: u16| [198, 51, (n >> 8) as u8, n as u8];
        for n in 0..1024 {
            filter.add4(pool(n));
        }
        assert!((0..1024).all(|n| filter.may_hold4(pool(n))));
        let bits: u32 = filter.v4.iter().map(|word| word.count_ones()).sum();
        assert_eq!(bits, 1024, "addresses of one pool share places");
        let others = (0..=u16::MAX).filter(|n| filter.may_hold4([10, 9, (n >> 8) as u8, *n as u8])).count();
        assert!((1_000..3_000).contains(&others), "{others} of 65,536 other addresses are looked up");
    }

    #[test]
    fn holds_ipv6_addresses_too() {
        let mut filter = AddressFilter::EMPTY;
        let host = |net: u8, n: u16| {
            let [high, low] = n.to_be_bytes();
            [0x20, 1, 0xd, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, high, low]
        };
        (0..1024).for_each(|n| filter.add6(host(1, n)));
        assert!((0..1024).all(|n| filter.may_hold6(host(1, n))));
        let bits: u32 = filter.v6.iter().map(|word| word.count_ones()).sum();
        assert_eq!(bits, 1024, "addresses of one pool share places");
        let others = (0..=u16::MAX).filter(|n| filter.may_hold6(host(2, *n))).count();
        assert!((1_000..3_000).contains(&others), "{others} of 65,536 other addresses are looked up");
    }

    #[test]
    fn holds_mac_addresses() {
        let mac = |n: u32| {
            let [a, b, c, d] = n.to_be_bytes();
            u64::from_le_bytes([0x02, 0x42, a, b, c, d, 0, 0])
        };
        let mut filter = MacFilter::EMPTY;
        (0..1000).for_each(|n| filter.add(mac(n * 7919)));
        assert!((0..1000).all(|n| filter.may_hold(mac(n * 7919))));
        let others = (0..65_536u32).filter(|n| filter.may_hold(mac(n | 0x5500_0000))).count();
        assert!((2_000..6_000).contains(&others), "{others} of 65,536 others are looked up");
        assert!((0..1000).all(|n| !MacFilter::EMPTY.may_hold(mac(n))));
    }

    #[test]
    fn the_empty_filter_holds_nothing() {
        assert!((0..=u16::MAX).all(|n| !AddressFilter::EMPTY.may_hold4([192, 0, (n >> 8) as u8, n as u8])));
        assert!(!AddressFilter::EMPTY.may_hold6([0; 16]));
    }
}
