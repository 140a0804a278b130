//! The table of maps: names, kinds, types and sizes, written once.
//!
//! [`shared_maps!`] gives the table to a macro: here to one that makes the names and [`MAPS`], in the XDP
//! program to one that makes the maps. All of them are pinned; scratch memory of the program is not in the
//! table.
//!
//! [`shared_maps!`]: crate::shared_maps

use crate::layout::{Shape, Shared};
use crate::maps::capacity;

/// Version of the table of maps and of all types in it. It is part of the path that the maps are pinned
/// under, so an agent never reads maps of another layout as its own. A test compares both with
/// `layout/v<LAYOUT>.txt`.
pub const LAYOUT: u32 = 8 + NEXT;

/// 1 in a build with the feature `next-layout`, which has the maps of a layout that exists for tests of the
/// migration between layouts only.
const NEXT: u32 = cfg!(feature = "next-layout") as u32;

/// The first layout in which the entries of a map mean what they mean today, unless its row gives another
/// one.
const FIRST_MEANING: u32 = 6;

/// Gives the table of maps to a macro. A row is `NAME = name, kind<key, value>, entries, option;`. An agent
/// carries the entries of another layout over, field by field. Where the same bytes have got another meaning,
/// add `since = LAYOUT` to the row, and entries of earlier layouts are left behind.
#[cfg(not(feature = "next-layout"))]
#[macro_export]
macro_rules! shared_maps {
    ($callback:ident) => {
        $crate::all_maps! { $callback [] [] }
    };
}

/// Does the same with the layout for tests: one more map, and one whose entries have another meaning.
#[cfg(feature = "next-layout")]
#[macro_export]
macro_rules! shared_maps {
    ($callback:ident) => {
        $crate::all_maps! {
            $callback
            [/// A map of the layout for tests.
            NEXT = "lb_next", Array<u32, u64>, 1, Plain;]
            [, since = $crate::map_table::LAYOUT]
        }
    };
}

/// The rows of [`shared_maps!`], with the differences of the layout for tests.
///
/// [`shared_maps!`]: crate::shared_maps
#[doc(hidden)]
#[macro_export]
macro_rules! all_maps {
    ($callback:ident [$($next:tt)*] [$($since:tt)*]) => {
        $callback! {
            /// IPv4 VIPs, by bucket number.
            VIPS4 = "lb_vips4", Array<u32, $crate::vips::Vip4Bucket>, capacity::VIP4_BUCKETS, Mapped;
            /// IPv6 VIPs, by bucket number.
            VIPS6 = "lb_vips6", Array<u32, $crate::vips::Vip6Bucket>, capacity::VIP6_BUCKETS, Mapped;
            /// VIPs whose buckets are full, IPv4 as `::ffff:a.b.c.d`.
            VIPS_MORE = "lb_vips_more",
                HashMap<$crate::maps::Vip6Key, $crate::vips::PackedVip>, capacity::VIPS_MORE, OnDemand;
            /// Slots of all rings.
            RINGS = "lb_rings", Array<u32, $crate::ring::Slot>, capacity::RINGS, Mapped;
            /// Four [`crate::ring::SlotLeader`]s an entry, by slot number / 4.
            LEADERS = "lb_leaders", Array<u32, [u16; 4]>, capacity::RINGS / 4, Mapped;
            /// Nodes by [`crate::ring::NodeIndex`].
            NODES = "lb_nodes", Array<u32, $crate::maps::Node>, capacity::NODES, Plain;
            /// Node indices by address (IPv4 as `::ffff:a.b.c.d`): who may send encapsulated packets.
            NODE_ADDRESSES = "lb_node_addrs", HashMap<[u8; 16], u32>, capacity::NODE_ADDRESSES, Plain;
            /// Node indices by MAC address and two zero bytes: whose frames come from a node.
            NODE_MACS = "lb_node_macs", HashMap<[u8; 8], u32>, capacity::NODE_ADDRESSES, Plain;
            /// Who answers ARP for an IPv4 VIP.
            ARP = "lb_arp", HashMap<[u8; 4], $crate::maps::Announcer>, capacity::ANNOUNCERS, Plain;
            /// Who answers Neighbor Solicitations for an IPv6 VIP.
            NDP = "lb_ndp", HashMap<[u8; 16], $crate::maps::Announcer>, capacity::ANNOUNCERS, Plain;
            /// Answered ARP requests and Neighbor Solicitations, by VIP number.
            L2_STATS = "lb_l2_stats", PerCpuArray<u32, u64>, capacity::VIP_STATS, Plain;
            /// Interfaces with the program, by index.
            LINKS = "lb_links", HashMap<u32, $crate::maps::Link>, capacity::LINKS, Plain;
            /// The configuration of the node, at 0.
            CONFIG = "lb_config", Array<u32, $crate::maps::Config>, 1, Plain;
            /// Traffic by VIP number.
            VIP_STATS = "lb_vip_stats", PerCpuArray<u32, $crate::maps::Traffic>, capacity::VIP_STATS, Plain;
            /// New flows by VIP number.
            VIP_FLOWS = "lb_vip_flows", PerCpuArray<u32, u64>, capacity::VIP_STATS, Plain;
            /// Traffic forwarded to a node, by node index.
            NODE_STATS = "lb_node_stats", PerCpuArray<u32, $crate::maps::Traffic>, capacity::NODES, Plain;
            /// Packets by [`crate::verdict::Outcome`] or [`crate::verdict::Refusal`].
            VERDICTS = "lb_verdicts", PerCpuArray<u32, u64>, capacity::VERDICTS, Plain;
            /// What is left of each [`crate::maps::Budget`].
            ICMP_BUDGET = "lb_icmp_budget",
                PerCpuArray<u32, $crate::maps::Allowance>, $crate::maps::Budget::COUNT, Plain $($since)*;
            /// When nodes were last heard of, by node index; behind the last node the probe clock.
            LIVENESS = "lb_liveness", Array<u32, $crate::maps::Liveness>, capacity::LIVENESS, Mapped;
            /// When the last answer of a node to a probe arrived, in nanoseconds of `CLOCK_MONOTONIC`, by
            /// node index; zero: never.
            ANSWERED = "lb_answered", Array<u32, u64>, capacity::NODES, Mapped;
            /// The table of flows.
            FLOWS = "lb_flows", Array<u32, $crate::flows::FlowSet<u64>>, capacity::FLOW_SETS, Mapped;
            /// Changes of the table of flows, by [`crate::maps::flow_event`].
            FLOW_EVENTS = "lb_flow_events",
                PerCpuArray<u32, u64>, $crate::maps::flow_event::COUNT, Plain;
            /// Flows of fragmented packets.
            FRAGMENTS = "lb_fragments",
                LruHashMap<$crate::maps::FragmentKey, $crate::maps::FragmentFlow>, capacity::FRAGMENTS, Plain;
            /// BFD sessions with routers that are up, by this node's discriminator.
            BFD = "lb_bfd", HashMap<u32, $crate::maps::BfdSession>, capacity::BFD, Plain;
            /// Addresses (IPv4 as `::ffff:a.b.c.d`) of BFD peers, up or not, and this node's own that it
            /// speaks from.
            BFD_ADDRESSES = "lb_bfd_addrs",
                HashMap<[u64; 2], $crate::maps::BfdAddress>, capacity::BFD_ADDRESSES, Plain;
            /// Signs of life of the agent and of other nodes, see [`crate::maps::agent_cell`].
            AGENT = "lb_agent", Array<u32, u64>, $crate::maps::agent_cell::COUNT, Mapped;
            /// Clients that VIPs with source ranges admit, by prefix.
            SOURCES = "lb_sources", LpmTrie<$crate::maps::Source, u32>, capacity::SOURCES, OnDemand;
            /// Packets of clients outside the source ranges, by VIP number.
            SOURCE_REFUSED = "lb_src_refused", PerCpuArray<u32, u64>, capacity::VIP_STATS, Plain;
            $($next)*
        }
    };
}

/// How a map is organized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// An array.
    Array,
    /// An array with a value for each CPU.
    PerCpuArray,
    /// A hash table.
    HashMap,
    /// A hash table that drops the least recently used entry when it is full.
    LruHashMap,
    /// A trie of prefixes: a key begins with the length of its prefix.
    LpmTrie,
}

/// A flag that a map is created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapOption {
    /// None.
    Plain = 0,
    /// `BPF_F_NO_PREALLOC`: entries take memory only while they exist.
    OnDemand = 1,
    /// `BPF_F_MMAPABLE`: the agent maps it and writes it without a system call.
    Mapped = 1 << 10,
}

/// A map of the program that the agent shares.
#[derive(Clone, Copy, Debug)]
pub struct MapSpec {
    /// Its name.
    pub name: &'static str,
    /// How it is organized.
    pub kind: MapKind,
    /// The type of its keys.
    pub key: &'static str,
    /// The type of its values.
    pub value: &'static str,
    /// Bytes of a key and of a value.
    pub sizes: [usize; 2],
    /// Entries, unless the loader chooses another number.
    pub entries: usize,
    /// The flag that it is created with.
    pub option: MapOption,
    /// The first layout whose entries have today's meaning.
    pub since: u32,
    /// The shapes of a key and of a value.
    pub shapes: [&'static Shape; 2],
}

/// Checks a name: the kernel keeps 15 bytes and cuts the rest silently, and `lb_` marks our maps.
const fn checked(name: &'static str) -> &'static str {
    assert!(name.len() <= 15 && matches!(name.as_bytes(), [b'l', b'b', b'_', ..]));
    name
}

macro_rules! since {
    () => {
        FIRST_MEANING
    };
    ($layout:expr) => {
        $layout
    };
}

macro_rules! table {
    ($($(#[$doc:meta])* $constant:ident = $name:tt, $kind:ident<$key:ty, $value:ty>, $entries:expr, $option:ident $(, since = $since:expr)?;)+) => {
        /// Names of the maps.
        pub mod name {
            $($(#[$doc])* pub const $constant: &str = super::checked($name);)+
        }

        /// Every map that the program and the agent share.
        pub const MAPS: &[MapSpec] = &[$(MapSpec {
            name: $name,
            kind: MapKind::$kind,
            key: stringify!($key),
            value: stringify!($value),
            sizes: [<$key as Shared>::SIZE, <$value as Shared>::SIZE],
            entries: $entries,
            option: MapOption::$option,
            since: since!($($since)?),
            shapes: [<$key as Shared>::SHAPE, <$value as Shared>::SHAPE],
        }),+];
    };
}

shared_maps!(table);
