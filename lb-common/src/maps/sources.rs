//! Source ranges: the clients that a Service admits.

/// A client of a VIP or, with a shorter prefix, a range of clients: a key of `lb_sources` without its prefix
/// length. The prefix always covers the VIP number, which comes first, so the ranges of all VIPs share one
/// trie.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// Number of the VIP in `lb_vip_stats`.
    pub vip: u32,
    /// Address of the client, IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<Source>() == 20);

impl Source {
    /// Bits of the VIP number.
    pub const VIP_BITS: u32 = 32;
    /// Bits of the VIP number and of one address: the prefix length of a lookup.
    pub const BITS: u32 = Self::VIP_BITS + 128;
}

/// `::ffff:0.0.0.0`, the prefix of IPv4-mapped addresses. A number: of arrays that begin with zeros, the
/// compiler makes a loop over bytes.
const V4_MAPPED: u128 = 0xffff << 32;

/// Returns the IPv4-mapped IPv6 address.
#[inline(always)]
pub const fn v4_mapped(address: [u8; 4]) -> [u8; 16] {
    (V4_MAPPED | u32::from_be_bytes(address) as u128).to_be_bytes()
}
