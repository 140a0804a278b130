//! BFD sessions with routers, as the program knows them.

/// A BFD session that is up. The agent writes it; the program records in it when the router was last heard,
/// and answers the router while the agent sends nothing.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSession {
    /// The router's address; IPv4 as `::ffff:a.b.c.d`.
    pub remote: [u8; 16],
    /// This node's address, in the same form.
    pub local: [u8; 16],
    /// The router's last packet, without its Poll and Final bits, in memory order. The agent writes the one
    /// that brought the session up; the program replaces it as long as it says Up.
    pub theirs: [u64; 3],
    /// The packet that answers it, without these bits.
    pub ours: [u64; 3],
    /// When the last valid packet arrived, in nanoseconds of `CLOCK_MONOTONIC`; zero: none since the agent
    /// wrote this.
    pub heard: u64,
    /// When the program last answered, in the same unit; zero: never.
    pub answered: u64,
    /// Nanoseconds after the agent's last packet from which the program answers; zero: it never does.
    pub late_after: u64,
    /// Minimum nanoseconds between two answers: the router may want fewer packets than it sends.
    pub answer_interval: u64,
    /// Nanoseconds after the agent's last sign of life from which the program does not answer any more.
    pub dead_after: u64,
    /// UDP port, wire order: [`crate::wire::bfd::SINGLE_HOP_PORT`] or [`crate::wire::bfd::MULTIHOP_PORT`].
    pub port: [u8; 2],
    /// The agent's source port, wire order.
    pub source_port: [u8; 2],
    /// Number of the session, for [`crate::maps::agent_cell::bfd_sent`].
    pub number: u16,
    /// Minimum TTL or hop limit of a packet; 255 for a router that is one hop away.
    pub minimum_ttl: u8,
    /// Zero.
    pub pad: u8,
}

const _: () = assert!(size_of::<BfdSession>() == 128);

impl BfdSession {
    /// Returns whether the program may answer now: the agent is late with its packet, but has been alive a
    /// short time ago. `sent` and `alive` are cells of `lb_agent`.
    #[inline(always)]
    pub const fn is_answer_due(&self, sent: u64, alive: u64, now: u64) -> bool {
        self.late_after != 0
            && now.saturating_sub(sent) >= self.late_after
            && now.saturating_sub(self.answered) >= self.answer_interval
            && now.saturating_sub(alive) < self.dead_after
    }
}

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
