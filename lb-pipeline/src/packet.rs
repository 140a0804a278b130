//! The description of a packet.

use lb_common::hash::FlowPorts;
use lb_common::maps::{VIP_AFFINITY, Vip};
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_common::trace::TraceRecord;
use lb_common::verdict::Outcome;
use lb_common::wire::gue::MAX_ASKED;
use lb_common::wire::ip::Family;

use crate::owner::{PacketKind, Trail};

/// The description of a packet, which its subprograms share. All fields of this flat structure are
/// initialized: the verifier rejects copies of values that some path leaves undefined.
#[repr(C)]
pub struct PacketInfo {
    pub(crate) family: Family,
    /// Offset of the IP header.
    pub(crate) l3: usize,
    /// Offset of the EtherType in front of it. It is two less, but if the compiler knows this, it checks one
    /// sum and uses another, and the verifier does not see that they are equal.
    pub(crate) type_at: usize,
    /// Offset of the transport header.
    pub(crate) l4: usize,
    /// Bytes of the encapsulation in front of the IP header.
    pub(crate) outer: usize,
    /// Length of the IP packet by its header; of a packet for a VIP, no more than the frame holds.
    pub(crate) length: u32,
    /// Number of its slot.
    pub(crate) slot: u32,
    /// Number of its VIP.
    pub(crate) vip: u32,
    /// Flags of its VIP.
    pub(crate) flags: u32,
    /// Hash that selects the slot.
    pub(crate) hash: u64,
    /// Hash that identifies the flow in the table; differs from `hash` if the Service has session affinity.
    pub(crate) flow: u64,
    /// Hash that identifies the flow by this packet alone, without what this node recorded: covered by the
    /// tag of GUE.
    pub(crate) name: u64,
    /// The tag of GUE that it arrived with or is sent with, and the ID of its key.
    pub(crate) tag: u32,
    pub(crate) tag_key: u32,
    /// Its kind.
    pub(crate) kind: PacketKind,
    /// The entry of its flow, packed by [`lb_common::flows::FlowSet::get_bits`].
    pub(crate) entry: u32,
    /// Protocol number of the first IPv6 header that is no extension.
    pub(crate) upper: u32,
    /// Of a fragment: identification and protocol of the whole packet, and whether it is the first.
    pub(crate) fragment_id: u32,
    pub(crate) protocol: u32,
    pub(crate) is_first_fragment: bool,
    /// It is an ICMP error about a packet from a VIP.
    pub(crate) is_error: bool,
    /// It is TCP or UDP to an undeclared port, and its destination may be a VIP.
    pub(crate) may_be_closed: bool,
    /// If it was too big: the path MTU.
    pub(crate) path_mtu: u32,
    /// Of a Neighbor Solicitation: the MAC address that the reply goes to, as a number.
    pub(crate) asker: u64,
    /// How it is counted if this node owns the flow.
    pub(crate) local: Outcome,
    /// The node that it is sent to; for traces.
    pub(crate) node: NodeIndex,
    /// The nodes asked for it before.
    pub(crate) asked: AskedNodes,
}

impl PacketInfo {
    /// An empty description.
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
        asker: 0,
        local: Outcome::Local,
        node: NO_NODE,
        asked: AskedNodes::EMPTY,
    };

    /// Resets the description for a packet whose IP header is at `l3`. All other fields are written before
    /// they are read.
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
        self.asked.by_node = false;
        self.asked.count = 0;
        self.asked.trail.marks = 0;
        self.asked.trail.home = 0;
    }

    /// Forgets what [`PacketInfo::describe`] reads, before a traced packet: most packets write only some of
    /// it.
    #[inline(always)]
    pub const fn forget(&mut self) {
        self.slot = u32::MAX;
        self.vip = u32::MAX;
        self.flow = 0;
        self.node = NO_NODE;
    }

    /// Writes what the slow path has found out about the packet into its record.
    #[inline(always)]
    pub const fn describe(&self, record: &mut TraceRecord) {
        record.slot = self.slot;
        record.vip = self.vip;
        record.flow = self.flow;
        record.node = self.node;
    }

    /// Records the VIP, and the hashes that `hash` makes of ports.
    #[inline(always)]
    pub(crate) fn set_flow(&mut self, vip: Vip, ports: FlowPorts, hash: impl Fn(FlowPorts) -> u64) {
        let flow = hash(ports);
        let by_client = vip.flags & VIP_AFFINITY != 0;
        self.set_vip(vip, flow, if by_client { hash(FlowPorts::AFFINITY) } else { flow });
    }

    /// Records the VIP without a flow.
    #[inline(always)]
    pub(crate) const fn note_vip(&mut self, vip: Vip) {
        self.vip = vip.number;
        self.flags = vip.flags;
    }

    /// Records the VIP, the flow, and the hash for the ring.
    #[inline(always)]
    pub(crate) const fn set_vip(&mut self, vip: Vip, flow: u64, hash: u64) {
        // Field by field: the BPF compiler copies the whole in a loop over bytes.
        self.slot = vip.ring.wrapping_add(hash as u32 & vip.mask);
        self.vip = vip.number;
        self.flags = vip.flags;
        self.flow = flow;
        self.name = flow;
        self.hash = hash;
    }
}

/// The nodes asked for a packet, by wire ID.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AskedNodes {
    /// A node asked this node for the packet.
    pub(crate) by_node: bool,
    pub(crate) count: usize,
    pub(crate) trail: Trail,
    /// Only the first `count` are valid.
    pub(crate) ids: [u32; MAX_ASKED - 1],
}

impl AskedNodes {
    pub(crate) const EMPTY: Self =
        Self { by_node: false, count: 0, trail: Trail { marks: 0, home: 0 }, ids: [0; MAX_ASKED - 1] };

    /// Adds a node, unless the list is full.
    #[inline(always)]
    pub(crate) fn push(&mut self, id: u32) {
        if let Some(place) = self.ids.get_mut(self.count) {
            *place = id;
            self.count += 1;
        }
    }

    /// Returns the home of the flow; 0, which is no wire ID, if the list does not contain it.
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
