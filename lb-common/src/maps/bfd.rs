//! BFD sessions with peers, as far as the program has a part in them.

/// A session. The agent writes it when the session is up; the program notes in it when it heard of the router last.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSession {
    /// The router's address; IPv4 as `::ffff:a.b.c.d`.
    pub remote: [u8; 16],
    /// This node's address, likewise.
    pub local: [u8; 16],
    /// When the last valid packet came, in nanoseconds of `CLOCK_MONOTONIC`; zero: none since the agent wrote this.
    pub heard: u64,
    /// UDP port, wire order: [`crate::wire::bfd::SINGLE_HOP_PORT`] or [`crate::wire::bfd::MULTIHOP_PORT`].
    pub port: [u8; 2],
    /// TTL or hop limit that a packet must have at least; 255 for a router that is one hop away.
    pub minimum_ttl: u8,
    /// Zero.
    pub pad: u8,
    /// Second byte of the last valid packet: the router's state in the upper two bits, and flags.
    pub state: u32,
}

const _: () = assert!(size_of::<BfdSession>() == 48);

/// Who has an address, as far as BFD goes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BfdAddress {
    /// Of a peer: this node's discriminator of a session with it that is up; zero: none is.
    pub discriminator: u32,
    /// `BFD_*` bits.
    pub flags: u8,
    /// Of a peer over several hops: TTL or hop limit that its packets must have at least.
    pub minimum_ttl: u8,
    /// Zero.
    pub pad: [u8; 2],
}

const _: () = assert!(size_of::<BfdAddress>() == 8);

/// [`BfdAddress::flags`]: a peer one hop away, whose session may be up or not.
pub const BFD_PEER: u8 = 1;
/// [`BfdAddress::flags`]: a peer over several hops, whose session may be up or not.
pub const BFD_PEER_MULTIHOP: u8 = 2;
/// [`BfdAddress::flags`]: an address of this node where the agent, and nobody else, receives
/// [`crate::wire::bfd::SINGLE_HOP_PORT`].
pub const BFD_LISTENS: u8 = 4;
/// [`BfdAddress::flags`]: the same for [`crate::wire::bfd::MULTIHOP_PORT`].
pub const BFD_LISTENS_MULTIHOP: u8 = 8;
