//! The entries of `lb_arp` and `lb_ndp`.

use super::Link;
use crate::ring::{NO_NODE, NodeIndex};

/// Ranks of an [`Announcer`].
pub const RANKS: usize = 8;

/// The nodes that may answer ARP or Neighbor Solicitations for a VIP.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Announcer {
    /// Node indices by rank, padded with [`NO_NODE`]. The first live one answers.
    pub ranks: [NodeIndex; RANKS],
    /// A field of the layout for tests.
    #[cfg(feature = "next-layout")]
    pub next: u64,
    /// Uplinks on which this node answers, a bit for each [`Link::number`]: only one of several on a LAN.
    pub uplinks: u64,
    /// Number of the VIP in `lb_l2_stats`.
    pub number: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Announcer>() == if cfg!(feature = "next-layout") { 40 } else { 32 });

impl Announcer {
    /// Returns these nodes, on these uplinks of this node. Nodes behind the last rank are left out.
    pub fn new(nodes: &[NodeIndex], uplinks: u64, number: u32) -> Self {
        let mut ranks = [NO_NODE; RANKS];
        for (rank, node) in ranks.iter_mut().zip(nodes) {
            *rank = *node;
        }
        Self {
            ranks,
            #[cfg(feature = "next-layout")]
            next: 0,
            uplinks,
            number,
            pad: 0,
        }
    }

    /// Returns whether this node answers on an uplink.
    #[inline(always)]
    pub const fn answers_on(&self, link: &Link) -> bool {
        // The mask bounds the shift, as the verifier demands.
        self.uplinks >> (link.number & 63) & 1 != 0
    }
}
