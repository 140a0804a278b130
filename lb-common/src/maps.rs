//! Keys and values of the maps that the XDP program and the agent share, as they lie in memory.
//!
//! Wire data is kept in wire order as byte arrays; numbers are native. There is no implicit padding and no
//! `bool`, `enum` or `Option`, because the other side of the border could hold any bit pattern.

mod bfd;
mod budget;
mod filter;
mod liveness;
mod sources;

pub use bfd::{BFD_LISTENS, BFD_LISTENS_MULTIHOP, BFD_PEER, BFD_PEER_MULTIHOP, BfdAddress, BfdSession};
pub use budget::{Allowance, Budget};
pub use filter::{AddressFilter, MacFilter};
pub use liveness::{LIVENESS_ADMIN_DOWN, LIVENESS_UP, Liveness};
pub use sources::{Source, v4_mapped};

use crate::forwarding::ForwardingMode;
use crate::hash::{FlowKeys, HashKey};
use crate::ring::{NO_NODE, NodeIndex};

/// Default sizes of the maps, in entries.
pub mod capacity {
    /// IPv4 and IPv6 VIP entries each: one a Service port, one a VIP address.
    pub const VIPS: usize = 32_768;
    /// Buckets of IPv4 VIPs, a power of two; 64 bytes and four VIPs each.
    pub const VIP4_BUCKETS: usize = 1 << 14;
    /// Buckets of IPv6 VIPs, a power of two; 64 bytes and two VIPs each.
    pub const VIP6_BUCKETS: usize = 1 << 15;
    /// VIPs that found their buckets full: if need be, all.
    pub const VIPS_MORE: usize = 2 * VIPS;
    /// Slots of all rings together; 32 bytes each.
    pub const RINGS: usize = 1 << 20;
    /// Nodes of a cluster.
    pub const NODES: usize = 1_024;
    /// Addresses and MAC addresses of nodes; a node may have one address of each family.
    pub const NODE_ADDRESSES: usize = 2 * NODES;
    /// VIPs answered by ARP.
    pub const ARP: usize = 16_384;
    /// Interfaces with the program.
    pub const LINKS: usize = 64;
    /// Numbered VIPs.
    pub const VIP_STATS: usize = VIPS;
    /// Numbers of [`crate::verdict::Outcome`] and [`crate::verdict::Refusal`], with room; a power of two.
    pub const VERDICTS: usize = 64;
    /// Sets of flows, a power of two; 64 bytes and eight flows each. The agent may choose another number.
    pub const FLOW_SETS: usize = 1 << 17;
    /// Fragmented packets under way.
    pub const FRAGMENTS: usize = 8_192;
    /// BFD sessions.
    pub const BFD: usize = 1_024;
    /// Both addresses of each.
    pub const BFD_ADDRESSES: usize = 2 * BFD;
    /// Source ranges of all VIPs. They take up memory only while they are there, some 200 bytes each.
    pub const SOURCES: usize = 131_072;
    /// Cells of `lb_liveness`: the nodes, and the probe clock.
    pub const LIVENESS: usize = NODES + 1;
    /// The probe clock's cell.
    pub const CLOCK: u32 = NODES as u32;
}

/// An IPv4 VIP with a port, or with `port` and `protocol` zero the address itself.
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

/// An IPv6 VIP with a port, or with `port` and `protocol` zero the address itself.
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
    /// The key of a port.
    #[inline(always)]
    pub const fn port(address: [u8; 4], port: [u8; 2], protocol: u8) -> Self {
        Self { address, port, protocol, pad: 0 }
    }

    /// The key of the address itself.
    #[inline(always)]
    pub const fn address(address: [u8; 4]) -> Self {
        Self::port(address, [0; 2], 0)
    }
}

impl Vip6Key {
    /// The key of a port.
    #[inline(always)]
    pub const fn port(address: [u8; 16], port: [u8; 2], protocol: u8) -> Self {
        Self { address, port, protocol, pad: 0 }
    }

    /// The key of the address itself.
    #[inline(always)]
    pub const fn address(address: [u8; 16]) -> Self {
        Self::port(address, [0; 2], 0)
    }
}

/// What is known of a VIP: its ring and its number.
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

/// [`Vip::flags`]: the Service wants all flows of a client on one node.
pub const VIP_AFFINITY: u32 = 1;
/// [`Vip::flags`] of an address: answer ICMP echo requests.
pub const VIP_ECHO: u32 = 2;
/// [`Vip::flags`]: this node has come to lead slots of the ring so recently that UDP flows may still live
/// elsewhere.
pub const VIP_YOUNG: u32 = 4;

/// [`Vip::flags`] of an address: what comes to another port of TCP or UDP than those of its Services is refused.
pub const VIP_CLOSED: u32 = 8;
/// [`Vip::flags`]: only clients in `lb_sources` are admitted. Of an address: no Service on it admits others.
pub const VIP_SOURCES: u32 = 16;

/// A node of the cluster, with everything that is needed to send a packet there.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// A [`ForwardingMode`]; 0 where the entry is not in use or its next hop is not resolved.
    pub mode: u8,
    /// IP version of the outer addresses, 4 or 6; 0 where there are none.
    pub outer_family: u8,
    /// Largest IP packet, outer header included, on the way there; bytes.
    pub mtu: u16,
    /// Interface that leads there.
    pub ifindex: u32,
    /// MAC of the next hop: the node itself for [`ForwardingMode::L2`].
    pub next_hop_mac: [u8; 6],
    /// MAC of the interface that leads there.
    pub source_mac: [u8; 6],
    /// One's complement sum of the constant parts of GUE's outer IPv4 header, with both addresses.
    pub outer_sum: u32,
    /// Outer source: IPv6, or IPv4 in the first four bytes.
    pub outer_source: [u8; 16],
    /// Outer destination: IPv6, or IPv4 in the first four bytes.
    pub outer_destination: [u8; 16],
    /// Who it is on the wire: the same on every node, made from its name; never zero.
    pub id: u32,
    /// This node's discriminator in S-BFD towards it: [`crate::tag::discriminator`].
    pub discriminator: u32,
}

const _: () = assert!(size_of::<Node>() == 64);

impl Node {
    /// An entry that leads nowhere.
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

    /// How packets are carried to the node; `None` where there is no next hop.
    #[inline(always)]
    pub const fn forwarding_mode(&self) -> Option<ForwardingMode> {
        ForwardingMode::from_number(self.mode)
    }
}

/// Who answers ARP for a VIP, best first; filled up with [`NO_NODE`].
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Announcer {
    /// Node indices in order of rank.
    pub ranks: [NodeIndex; 4],
    /// The uplinks of this node on which it answers, a bit for each [`Link::number`]: of several on one LAN only one.
    pub uplinks: u64,
}

impl Announcer {
    /// One node on all its uplinks, and nobody behind it.
    pub const fn only(node: NodeIndex) -> Self {
        Self::on(node, u64::MAX)
    }

    /// One node on these of its uplinks, and nobody behind it.
    pub const fn on(node: NodeIndex, uplinks: u64) -> Self {
        Self { ranks: [node, NO_NODE, NO_NODE, NO_NODE], uplinks }
    }

    /// Whether an uplink is one of those that answer.
    #[inline(always)]
    pub const fn answers_on(&self, link: &Link) -> bool {
        // What is masked cannot be shifted out, which the verifier wants to see.
        self.uplinks >> (link.number & 63) & 1 != 0
    }
}

/// A packet that comes in fragments.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FragmentKey {
    /// Source and destination as they lie in the header; IPv4 in the first eight bytes.
    pub addresses: [u64; 4],
    /// Its identification.
    pub id: u32,
    /// IP protocol number of the whole.
    pub protocol: u32,
}

/// Where it goes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentFlow {
    /// The slot.
    pub slot: u32,
    /// Number of the VIP of its first fragment.
    pub vip: u32,
    /// That VIP's `VIP_*` bits.
    pub flags: u32,
    /// Zero.
    pub pad: u32,
    /// The hash that chooses the slot.
    pub hash: u64,
    /// The hash that names the flow.
    pub flow: u64,
}

const _: () = assert!(size_of::<FragmentKey>() == 40 && size_of::<FragmentFlow>() == 32);

/// An interface that the program is attached to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Number of the uplink, below 64; the members of a bond have its number.
    pub number: u16,
}

const _: () = assert!(size_of::<Link>() == 8 && capacity::LINKS <= 64);

impl Link {
    /// No interface.
    pub const NONE: Self = Self { mac: [0; 6], number: 0 };

    /// The MAC address as a number, its first byte the lowest.
    #[inline(always)]
    pub const fn mac_word(&self) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// What holds for the whole node.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the flow hash is computed with, made from the cluster's secret.
    pub flow_keys: FlowKeys,
    /// Keys of the tags on what nodes say to each other: the first makes them, both are valid. Without a second one,
    /// the first twice.
    pub tag_keys: [HashKey; 2],
    /// What this node's discriminators are made with. Nothing in the program asks; the next agent does.
    pub probe_nonce: u64,
    /// This node's IPv4 address for encapsulated packets; zero for none.
    pub address4: [u8; 4],
    /// Index of this node in `lb_nodes`, or [`NO_NODE`] before the agent has written it.
    pub self_node: NodeIndex,
    /// `CONFIG_*` bits.
    pub flags: u16,
    /// This node's IPv6 address for encapsulated packets; zero for none.
    pub address6: [u8; 16],
    /// ICMP echo answers a second and CPU; zero answers none.
    pub echo_rate: u32,
    /// Who this node is on the wire, and the discriminator of its S-BFD reflector; see [`Node::id`].
    pub id: u32,
    /// Ticks of the probe clock without an answer after which a node is dead; zero: none ever is.
    pub liveness_limit: u32,
    /// Ticks after that for which flows that nobody knows wait, in case it comes back.
    pub hold_ticks: u32,
    /// Numbers of the keys of tags.
    pub tag_key_ids: [u8; 2],
    /// Zero.
    pub pad: [u8; 6],
    /// Indices of the first interfaces with the program; zero for none. Their entries of `lb_links` are here too, where
    /// they are at hand for every packet.
    pub uplinks: [u32; UPLINKS],
    /// Those entries.
    pub uplink_links: [Link; UPLINKS],
    /// ICMP errors a second and CPU, of each [`Budget`] of errors; zero sends none.
    pub icmp_error_rate: u32,
    /// Sets of `lb_flows` minus one; their number is a power of two.
    pub flow_mask: u32,
    /// The addresses of all VIPs.
    pub vips: AddressFilter,
    /// The MAC addresses of `lb_node_macs`.
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
        tag_key_ids: [0; 2],
        pad: [0; 6],
        uplinks: [0; UPLINKS],
        uplink_links: [Link::NONE; UPLINKS],
        icmp_error_rate: 0,
        flow_mask: 0,
        vips: AddressFilter::EMPTY,
        node_macs: MacFilter::EMPTY,
    };

    /// The MAC address, as a number, of an interface with the program, if it is one of the first.
    #[inline(always)]
    pub fn uplink_mac(&self, ifindex: u32) -> Option<u64> {
        for (uplink, link) in self.uplinks.iter().zip(&self.uplink_links) {
            if *uplink == ifindex {
                return Some(link.mac_word());
            }
        }
        None
    }

    /// The key of tags with this number. By value: of two places in memory the verifier would follow each to the end.
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

/// [`Config::flags`]: this node drains: its reflector answers AdminDown.
pub const CONFIG_DRAINING: u16 = 1;
/// [`Config::flags`]: it does so because it has been told to, whatever its Node object says. Nothing in the
/// program asks; the next agent does.
pub const CONFIG_TOLD_TO_DRAIN: u16 = 2;
/// [`Config::flags`]: IP in IP is taken from nodes of the cluster.
pub const CONFIG_IPIP: u16 = 8;

/// [`Config::flags`]: who sends to a port that is refused is answered by port unreachable.
pub const CONFIG_UNREACHABLE: u16 = 4;

/// Packets and bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of IP packets, encapsulation not counted.
    pub bytes: u64,
}
