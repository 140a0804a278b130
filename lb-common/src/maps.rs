//! Keys and values of the maps that the XDP program and the agent share, as they lie in memory.
//!
//! Wire data are byte arrays in wire order; numbers are native. There is no padding and no `bool`, `enum` or
//! `Option`, because the other side can write any bit pattern.

mod agent;
mod announcer;
mod bfd;
mod budget;
mod filter;
mod flow_changes;
mod liveness;
mod sources;

pub use agent::agent_cell;
pub use announcer::{Announcer, RANKS};
pub use bfd::{BFD_LISTENS, BFD_LISTENS_MULTIHOP, BFD_PEER, BFD_PEER_MULTIHOP, BfdAddress, BfdSession};
pub use budget::{Allowance, Budget};
pub use filter::{AddressFilter, MacFilter};
pub use flow_changes::flow_event;
pub use liveness::{
    LIVENESS_ADMIN_DOWN, LIVENESS_HELD, LIVENESS_HOLDS_THIS, LIVENESS_LEAVING, LIVENESS_UP, Liveness,
    Standing,
};
pub use sources::{Source, v4_mapped};

use crate::forwarding::ForwardingMode;
use crate::hash::{FlowKeys, HashKey};
use crate::ring::NodeIndex;

/// Default sizes of the maps, in entries.
pub mod capacity {
    /// VIP entries of both families together: one a Service port, one a VIP address.
    pub const VIPS: usize = 65_536;
    /// Buckets of IPv4 VIPs, a power of two; each has 64 bytes and holds four VIPs.
    pub const VIP4_BUCKETS: usize = 1 << 14;
    /// Buckets of IPv6 VIPs, a power of two; each has 64 bytes and holds two VIPs.
    pub const VIP6_BUCKETS: usize = 1 << 15;
    /// VIPs whose buckets are full: in the worst case, all.
    pub const VIPS_MORE: usize = VIPS;
    /// Slots of all rings together; each has 32 bytes.
    pub const RINGS: usize = 1 << 20;
    /// Nodes of a cluster.
    pub const NODES: usize = 1_024;
    /// Addresses and MAC addresses of nodes; a node may have one address of each family.
    pub const NODE_ADDRESSES: usize = 2 * NODES;
    /// VIPs announced on the local network, of each IP version.
    pub const ANNOUNCERS: usize = 16_384;
    /// Interfaces with the program.
    pub const LINKS: usize = 64;
    /// Numbered VIPs.
    pub const VIP_STATS: usize = VIPS;
    /// Numbers of [`crate::verdict::Outcome`] and [`crate::verdict::Refusal`], with room; a power of two.
    pub const VERDICTS: usize = 64;
    /// Sets of flows, a power of two; each has 64 bytes and holds eight flows. The agent may choose another
    /// number.
    pub const FLOW_SETS: usize = 1 << 17;
    /// Fragmented packets in transit.
    pub const FRAGMENTS: usize = 8_192;
    /// BFD sessions.
    pub const BFD: usize = 1_024;
    /// The two addresses of each session.
    pub const BFD_ADDRESSES: usize = 2 * BFD;
    /// Source ranges of all VIPs. Each takes some 200 bytes, only while it exists.
    pub const SOURCES: usize = 131_072;
    /// Cells of `lb_liveness`: one for each node, and the probe clock.
    pub const LIVENESS: usize = NODES + 1;
    /// Index of the cell of the probe clock.
    pub const CLOCK: u32 = NODES as u32;
}

/// An IPv4 VIP with a port; with `port` and `protocol` zero, the address itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vip4Key {
    /// Address, wire order.
    pub address: [u8; 4],
    /// Port, wire order.
    pub port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub pad: u8,
}

/// An IPv6 VIP with a port; with `port` and `protocol` zero, the address itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vip6Key {
    /// Address, wire order.
    pub address: [u8; 16],
    /// Port, wire order.
    pub port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub pad: u8,
}

const _: () = assert!(size_of::<Vip4Key>() == 8 && size_of::<Vip6Key>() == 20);

impl Vip4Key {
    /// Returns the key of a port.
    #[inline(always)]
    pub const fn port(address: [u8; 4], port: [u8; 2], protocol: u8) -> Self {
        Self { address, port, protocol, pad: 0 }
    }

    /// Returns the key of the address itself.
    #[inline(always)]
    pub const fn address(address: [u8; 4]) -> Self {
        Self::port(address, [0; 2], 0)
    }
}

impl Vip6Key {
    /// Returns the key of a port.
    #[inline(always)]
    pub const fn port(address: [u8; 16], port: [u8; 2], protocol: u8) -> Self {
        Self { address, port, protocol, pad: 0 }
    }

    /// Returns the key of the address itself.
    #[inline(always)]
    pub const fn address(address: [u8; 16]) -> Self {
        Self::port(address, [0; 2], 0)
    }
}

/// A VIP: its ring, number and flags.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vip {
    /// First slot of the ring in `lb_rings`.
    pub ring: u32,
    /// Number of slots minus one; the number is a power of two.
    pub mask: u32,
    /// Number of the VIP in `lb_vip_stats`.
    pub number: u32,
    /// `VIP_*` bits.
    pub flags: u32,
}

const _: () = assert!(size_of::<Vip>() == 16);

/// [`Vip::flags`]: the Service has session affinity: all flows of a client go to one node.
pub const VIP_AFFINITY: u32 = 1;
/// [`Vip::flags`] of an address: answer ICMP echo requests.
pub const VIP_ECHO: u32 = 2;
/// [`Vip::flags`]: this node became leader of slots of the ring so recently that UDP flows may still be owned
/// elsewhere.
pub const VIP_NEW_LEADER: u32 = 4;

/// [`Vip::flags`] of an address: packets to TCP and UDP ports that no Service declares are refused.
pub const VIP_CLOSED: u32 = 8;
/// [`Vip::flags`]: only clients in `lb_sources` are admitted. Of an address: this holds for all of its
/// Services.
pub const VIP_SOURCES: u32 = 16;

/// A node of the cluster, with all that sending a packet to it needs.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// A [`ForwardingMode`]; 0 where the entry is not in use or its next hop is not resolved.
    pub mode: u8,
    /// IP version of the outer addresses, 4 or 6; 0 where there are none.
    pub outer_family: u8,
    /// MTU of the path to the node, outer header included, in bytes.
    pub mtu: u16,
    /// Egress interface.
    pub ifindex: u32,
    /// MAC of the next hop: the node itself for [`ForwardingMode::L2`].
    pub next_hop_mac: [u8; 6],
    /// MAC of the egress interface.
    pub source_mac: [u8; 6],
    /// One's complement sum of the constant parts of GUE's outer IPv4 header, addresses included.
    pub outer_sum: u32,
    /// Outer source: IPv6, or IPv4 in the first four bytes.
    pub outer_source: [u8; 16],
    /// Outer destination: IPv6, or IPv4 in the first four bytes.
    pub outer_destination: [u8; 16],
    /// Wire ID: made from the name of the node and the same on every node; never zero.
    pub id: u32,
    /// This node's S-BFD discriminator towards it: [`crate::tag::discriminator`].
    pub discriminator: u32,
}

const _: () = assert!(size_of::<Node>() == 64);

impl Node {
    /// An unused entry.
    pub const NONE: Self = Self {
        mode: 0,
        outer_family: 0,
        mtu: 0,
        ifindex: 0,
        next_hop_mac: [0; 6],
        source_mac: [0; 6],
        outer_sum: 0,
        outer_source: [0; 16],
        outer_destination: [0; 16],
        id: 0,
        discriminator: 0,
    };

    /// Returns the forwarding mode; `None` if there is no next hop.
    #[inline(always)]
    pub const fn forwarding_mode(&self) -> Option<ForwardingMode> {
        ForwardingMode::from_number(self.mode)
    }
}

/// A fragmented packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FragmentKey {
    /// Source and destination as in the header; IPv4 in the first eight bytes.
    pub addresses: [u64; 4],
    /// Identification.
    pub id: u32,
    /// IP protocol number of the whole packet.
    pub protocol: u32,
}

/// The flow of a fragmented packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentFlow {
    /// Its slot.
    pub slot: u32,
    /// Number of its VIP.
    pub vip: u32,
    /// `VIP_*` bits of its VIP.
    pub flags: u32,
    /// Zero.
    pub pad: u32,
    /// Hash that selects the slot.
    pub hash: u64,
    /// Hash that identifies the flow.
    pub flow: u64,
}

const _: () = assert!(size_of::<FragmentKey>() == 40 && size_of::<FragmentFlow>() == 32);

/// An interface with the program.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Number of the uplink, below 64; members of a bond share its number.
    pub number: u16,
}

const _: () = assert!(size_of::<Link>() == 8 && capacity::LINKS <= 64);

impl Link {
    /// No interface.
    pub const NONE: Self = Self { mac: [0; 6], number: 0 };

    /// Returns the MAC address as a number, the first byte lowest.
    #[inline(always)]
    pub const fn mac_word(&self) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// The configuration of the node.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Keys of the flow hash, derived from the cluster's secret.
    pub flow_keys: FlowKeys,
    /// Keys of the tags on packets between nodes: the first one signs, both verify. Without a second key, the
    /// first one twice.
    pub tag_keys: [HashKey; 2],
    /// Nonce of this node's discriminators. Only the next agent reads it.
    pub probe_nonce: u64,
    /// This node's IPv4 address for encapsulated packets; zero if it has none.
    pub address4: [u8; 4],
    /// Index of this node in `lb_nodes`, or [`crate::ring::NO_NODE`] before the agent has written it.
    pub self_node: NodeIndex,
    /// `CONFIG_*` bits.
    pub flags: u16,
    /// This node's IPv6 address for encapsulated packets; zero if it has none.
    pub address6: [u8; 16],
    /// ICMP echo replies per second and CPU; zero: none.
    pub echo_rate: u32,
    /// Wire ID of this node ([`Node::id`]), and discriminator of its S-BFD reflector.
    pub id: u32,
    /// Ticks of the probe clock without a reply after which a node is dead; zero: never.
    pub liveness_limit: u32,
    /// Ticks after that in which packets of unknown flows are dropped, because the node may come back.
    pub hold_ticks: u32,
    /// Milliseconds without a sign of life of the agent after which it is gone; zero: never. See
    /// [`Config::is_abandoned`].
    pub agent_limit: u32,
    /// IDs of the tag keys.
    pub tag_key_ids: [u8; 2],
    /// Zero.
    pub pad: [u8; 2],
    /// Indices of the first interfaces with the program; zero: none. Their entries of `lb_links` are copied
    /// here, where every packet finds them without a look-up.
    pub uplinks: [u32; UPLINKS],
    /// Those entries.
    pub uplink_links: [Link; UPLINKS],
    /// ICMP errors per second and CPU, in each [`Budget`] of errors; zero: none.
    pub icmp_error_rate: u32,
    /// Sets of `lb_flows` minus one; their number is a power of two.
    pub flow_mask: u32,
    /// The addresses of all VIPs.
    pub vips: AddressFilter,
    /// The keys of `lb_node_macs`.
    pub node_macs: MacFilter,
}

const _: () = assert!(size_of::<Config>() == 10_440);

/// Interfaces that [`Config`] holds.
pub const UPLINKS: usize = 4;

impl Config {
    /// All zero, as an array holds it before the agent has written it.
    pub const ZERO: Self = Self {
        flow_keys: FlowKeys::NONE,
        tag_keys: [HashKey { k0: 0, k1: 0 }; 2],
        probe_nonce: 0,
        address4: [0; 4],
        self_node: 0,
        flags: 0,
        address6: [0; 16],
        echo_rate: 0,
        id: 0,
        liveness_limit: 0,
        hold_ticks: 0,
        agent_limit: 0,
        tag_key_ids: [0; 2],
        pad: [0; 2],
        uplinks: [0; UPLINKS],
        uplink_links: [Link::NONE; UPLINKS],
        icmp_error_rate: 0,
        flow_mask: 0,
        vips: AddressFilter::EMPTY,
        node_macs: MacFilter::EMPTY,
    };

    /// Returns the MAC address of an interface as a number, if it is one of [`Config::uplinks`].
    #[inline(always)]
    pub fn uplink_mac(&self, ifindex: u32) -> Option<u64> {
        for (uplink, link) in self.uplinks.iter().zip(&self.uplink_links) {
            if *uplink == ifindex {
                return Some(link.mac_word());
            }
        }
        None
    }

    /// Returns the bits of a standing in [`Config::flags`].
    pub const fn standing_flags(standing: Standing) -> u16 {
        (standing as u16) << CONFIG_STANDING_SHIFT
    }

    /// Returns whether this node drains.
    #[inline(always)]
    pub const fn is_draining(&self) -> bool {
        self.flags & CONFIG_DRAINING != 0
    }

    /// Returns whether this node drains and is about to be shut down.
    #[inline(always)]
    pub const fn is_leaving(&self) -> bool {
        const BOTH: u16 = CONFIG_DRAINING | CONFIG_LEAVING;
        self.flags & BOTH == BOTH
    }

    /// Returns whether this node may hold others.
    #[inline(always)]
    pub const fn holds_others(&self) -> bool {
        self.flags & CONFIG_ALONE == 0 && matches!(self.standing(), Standing::Stable)
    }

    /// Returns what this node says of itself as an announcer.
    #[inline(always)]
    pub const fn standing(&self) -> Standing {
        Standing::from_number((self.flags >> CONFIG_STANDING_SHIFT & 3) as u32)
    }

    /// Returns the tag key with this ID. By value: the verifier would follow a pointer to each of the two to
    /// the end.
    #[inline(always)]
    pub const fn tag_key(&self, id: u8) -> Option<HashKey> {
        let ([first, second], [a, b]) = (self.tag_keys, self.tag_key_ids);
        if id == a {
            Some(first)
        } else if id == b {
            Some(second)
        } else {
            None
        }
    }
}

/// [`Config::flags`]: this node drains; its reflector replies AdminDown.
pub const CONFIG_DRAINING: u16 = 1;
/// [`Config::flags`]: an operator requested the drain, whatever the Node object says. Only the next agent
/// reads it.
pub const CONFIG_DRAIN_REQUESTED: u16 = 2;
/// [`Config::flags`]: the agent of this node, which drains, has stopped: the node is about to be shut down.
/// The next agent clears it.
pub const CONFIG_LEAVING: u16 = 1 << 4;
/// [`Config::flags`]: all other nodes were dead a moment ago, so this node may have been away rather than
/// they, and holds none.
pub const CONFIG_ALONE: u16 = 1 << 10;
/// [`Config::flags`]: first of the two bits of this node's [`Standing`].
const CONFIG_STANDING_SHIFT: u16 = 8;
/// [`Config::flags`]: IP in IP from nodes of the cluster is accepted.
pub const CONFIG_IPIP: u16 = 8;

/// [`Config::flags`]: packets to undeclared ports are answered with port unreachable.
pub const CONFIG_UNREACHABLE: u16 = 4;

/// Packets and bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of IP packets, without encapsulation.
    pub bytes: u64,
    /// A field of the layout for tests.
    #[cfg(feature = "next-layout")]
    pub next: u64,
}
