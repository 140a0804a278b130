//! What has been read of a packet.

use lb_common::hash::FlowPorts;
use lb_common::maps::{VIP_AFFINITY, Vip};
use lb_common::verdict::Outcome;
use lb_common::wire::gue::MAX_ASKED;
use lb_common::wire::ip::Family;

use crate::owner::{PacketKind, Trail};

/// What has been read of a packet, and what the second half of its way needs to know. A flat structure in which everything has a value from the start: a value
/// that some path leaves open is one that the verifier forbids to carry along.
#[repr(C)]
pub struct PacketInfo {
    pub(crate) family: Family,
    /// Offset of the IP header.
    pub(crate) l3: usize,
    /// Offset of the EtherType in front of it. It is two less, but where the compiler knows that it checks
    /// one sum and uses another, and the verifier does not see that they are the same.
    pub(crate) type_at: usize,
    /// Offset of the header behind it and its extensions.
    pub(crate) l4: usize,
    /// Bytes in front of the IP header that a tunnel takes up.
    pub(crate) outer: usize,
    /// Bytes of the IP packet, as its header says; of a VIP's packet not more than the frame holds.
    pub(crate) length: u32,
    /// Number of the slot that it falls in.
    pub(crate) slot: u32,
    /// Number of the VIP that it is for.
    pub(crate) vip: u32,
    /// Flags of that VIP.
    pub(crate) flags: u32,
    /// Chooses the slot.
    pub(crate) hash: u64,
    /// Names the flow in the table; another than `hash` where a Service wants a client on one node.
    pub(crate) flow: u64,
    /// Names the flow by the packet alone, whatever this node knows of others: what the tag of GUE covers.
    pub(crate) name: u64,
    /// The tag that it has come with in GUE or is to be sent with, and the number of its key.
    pub(crate) tag: u32,
    pub(crate) tag_key: u32,
    /// What it says of its flow's life.
    pub(crate) kind: PacketKind,
    /// What the table says of its flow, packed; see [`lb_common::flows::FlowSet::get_bits`].
    pub(crate) entry: u32,
    /// Protocol number of the first IPv6 header that is no extension.
    pub(crate) upper: u32,
    /// Of a fragment: identification and protocol of the whole, and whether it is the first.
    pub(crate) fragment_id: u32,
    pub(crate) protocol: u32,
    pub(crate) is_first_fragment: bool,
    /// It is an ICMP error about a packet from a VIP.
    pub(crate) is_error: bool,
    /// It is TCP or UDP for no port that is known, and its destination may be a VIP.
    pub(crate) may_be_closed: bool,
    /// Where it was too big: what would have been small enough.
    pub(crate) path_mtu: u32,
    /// How it is counted if it stays here.
    pub(crate) local: Outcome,
    /// Who has been asked for it before.
    pub(crate) asked: AskedNodes,
}

impl PacketInfo {
    /// Nothing has been read.
    pub const EMPTY: Self = Self {
        family: Family::V4,
        l3: 0,
        type_at: 0,
        l4: 0,
        outer: 0,
        length: 0,
        slot: 0,
        vip: 0,
        flags: 0,
        hash: 0,
        flow: 0,
        name: 0,
        tag: 0,
        tag_key: 0,
        kind: PacketKind::Tcp,
        entry: 0,
        upper: 0,
        fragment_id: 0,
        protocol: 0,
        is_first_fragment: false,
        is_error: false,
        may_be_closed: false,
        path_mtu: 0,
        local: Outcome::Local,
        asked: AskedNodes::EMPTY,
    };

    /// Begins a packet whose IP header is at `l3`. Everything else is written before it is read.
    #[inline(always)]
    pub(crate) const fn reset(&mut self, l3: usize) {
        self.l3 = l3;
        self.type_at = l3 - 2;
        self.entry = 0;
        self.is_first_fragment = false;
        self.is_error = false;
        self.may_be_closed = false;
        self.path_mtu = 0;
        self.local = Outcome::Local;
        self.asked.by_peer = false;
        self.asked.count = 0;
        self.asked.trail.marks = 0;
        self.asked.trail.home = 0;
    }

    /// Notes which VIP the packet is for, and its hashes, which `hash` makes of ports.
    #[inline(always)]
    pub(crate) fn set_flow(&mut self, vip: Vip, ports: FlowPorts, hash: impl Fn(FlowPorts) -> u64) {
        let flow = hash(ports);
        let by_client = vip.flags & VIP_AFFINITY != 0;
        self.set_vip(vip, flow, if by_client { hash(FlowPorts::AFFINITY) } else { flow });
    }

    /// Notes which VIP the packet is for, and nothing of a flow.
    #[inline(always)]
    pub(crate) const fn note_vip(&mut self, vip: Vip) {
        self.vip = vip.number;
        self.flags = vip.flags;
    }

    /// Notes which VIP the packet is for, with which flow, and with which hash for the ring.
    #[inline(always)]
    pub(crate) const fn set_vip(&mut self, vip: Vip, flow: u64, hash: u64) {
        // Number by number: as a whole the BPF compiler copies it in a loop over bytes.
        self.slot = vip.ring.wrapping_add(hash as u32 & vip.mask);
        self.vip = vip.number;
        self.flags = vip.flags;
        self.flow = flow;
        self.name = flow;
        self.hash = hash;
    }
}

/// The nodes that a packet has been asked of, by their wire identities.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AskedNodes {
    /// A peer has sent the packet to this node in particular.
    pub(crate) by_peer: bool,
    pub(crate) count: usize,
    pub(crate) trail: Trail,
    /// Behind `count` stands what another packet has left.
    pub(crate) ids: [u32; MAX_ASKED - 1],
}

impl AskedNodes {
    pub(crate) const EMPTY: Self =
        Self { by_peer: false, count: 0, trail: Trail { marks: 0, home: 0 }, ids: [0; MAX_ASKED - 1] };

    /// Adds a node; a full list stays as it is.
    #[inline(always)]
    pub(crate) fn push(&mut self, id: u32) {
        if let Some(place) = self.ids.get_mut(self.count) {
            *place = id;
            self.count += 1;
        }
    }

    /// The flow's home; 0, which is no node's, where the list does not name it.
    #[inline(always)]
    pub(crate) fn home_id(&self) -> u32 {
        let mut home = 0;
        for (place, id) in self.ids.into_iter().enumerate() {
            if place < self.count && place as u32 == self.trail.home {
                home = id;
            }
        }
        home
    }

    #[inline(always)]
    pub(crate) fn contains(&self, id: u32) -> bool {
        let mut found = false;
        for (place, asked) in self.ids.into_iter().enumerate() {
            found |= place < self.count && asked == id;
        }
        found
    }
}
