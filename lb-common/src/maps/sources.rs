//! Source ranges: which clients a Service admits.

/// A client of a VIP, or with fewer bits a range of clients: the data of a key of `lb_sources`, behind the length of its
/// prefix in bits. The number of the VIP comes first and counts as a whole, so each VIP has its own ranges in one trie.
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
    /// Bits of the number.
    pub const VIP_BITS: u32 = 32;
    /// Bits of the number and of one address: the prefix of a look-up.
    pub const BITS: u32 = Self::VIP_BITS + 128;
}

/// `::ffff:0.0.0.0`, the IPv6 form of IPv4 addresses. A number: from arrays that begin as zeros the compiler makes a loop
/// over bytes.
const V4_MAPPED: u128 = 0xffff << 32;

/// The IPv6 form of an IPv4 address.
#[inline(always)]
pub const fn v4_mapped(address: [u8; 4]) -> [u8; 16] {
    (V4_MAPPED | u32::from_be_bytes(address) as u128).to_be_bytes()
}
