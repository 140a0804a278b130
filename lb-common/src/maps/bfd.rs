//! BFD sessions with routers, as the program knows them.

/// A BFD session that is up. The agent writes it; the program records in it when the router was last heard.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSession {
    /// The router's address; IPv4 as `::ffff:a.b.c.d`.
    pub remote: [u8; 16],
    /// This node's address, in the same form.
    pub local: [u8; 16],
    /// When the last valid packet arrived, in nanoseconds of `CLOCK_MONOTONIC`; zero: none since the agent
    /// wrote this.
    pub heard: u64,
    /// UDP port, wire order: [`crate::wire::bfd::SINGLE_HOP_PORT`] or [`crate::wire::bfd::MULTIHOP_PORT`].
    pub port: [u8; 2],
    /// Minimum TTL or hop limit of a packet; 255 for a router that is one hop away.
    pub minimum_ttl: u8,
    /// Zero.
    pub pad: u8,
    /// Second byte of the last valid packet: the router's state in the upper two bits, and flags.
    pub state: u32,
}

const _: () = assert!(size_of::<BfdSession>() == 48);

/// An address of a BFD peer or of this node.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BfdAddress {
    /// Of a peer: this node's discriminator of a session with it that is up; zero: none is.
    pub discriminator: u32,
    /// `BFD_*` bits.
    pub flags: u8,
    /// Of a multihop peer: minimum TTL or hop limit of its packets.
    pub minimum_ttl: u8,
    /// Zero.
    pub pad: [u8; 2],
}

const _: () = assert!(size_of::<BfdAddress>() == 8);

/// [`BfdAddress::flags`]: a single-hop peer, with its session up or not.
pub const BFD_PEER: u8 = 1;
/// [`BfdAddress::flags`]: a multihop peer, with its session up or not.
pub const BFD_PEER_MULTIHOP: u8 = 2;
/// [`BfdAddress::flags`]: an address of this node where only the agent receives
/// [`crate::wire::bfd::SINGLE_HOP_PORT`].
pub const BFD_LISTENS: u8 = 4;
/// [`BfdAddress::flags`]: the same for [`crate::wire::bfd::MULTIHOP_PORT`].
pub const BFD_LISTENS_MULTIHOP: u8 = 8;
