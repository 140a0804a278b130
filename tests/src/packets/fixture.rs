//! The small cluster that test packets meet: who the nodes are, and what each VIP port leads to.

use lb_common::hash::HashKey;
use lb_common::maps::{Announcer, Config, Link, Node, VIP_AFFINITY, VIP_ECHO, Vip, Vip4Key, Vip6Key, way};
use lb_common::ring::{NO_NODE, NodeIndex, Slot};
use lb_common::wire::gue;

use super::build::Mac;
use crate::kernel::INGRESS;
use crate::model::{HostTables, Sizes};

/// This node's MAC.
pub const SELF_MAC: Mac = [0x02, 0, 0, 0, 0, 0x01];
/// The router's MAC, where packets come from.
pub const ROUTER_MAC: Mac = [0x02, 0, 0, 0, 0, 0xfe];
/// The MAC of another node.
pub const PEER_MAC: Mac = [0x02, 0, 0, 0, 0, 0x02];
/// A MAC that nobody knows.
pub const OTHER_MAC: Mac = [0x02, 0, 0, 0, 0, 0x77];
/// The MAC of this node's other interface.
pub const SECOND_MAC: Mac = [0x02, 0, 0, 0, 1, 0x01];

/// A client.
pub const CLIENT4: [u8; 4] = [203, 0, 113, 9];
/// A client.
pub const CLIENT6: [u8; 16] = v6(0xc, 9);
/// A VIP that this node announces and that answers echo requests.
pub const VIP4: [u8; 4] = [198, 51, 100, 10];
/// A VIP that answers echo requests.
pub const VIP6: [u8; 16] = v6(0x10, 10);
/// A VIP that another node announces, and that does not answer echo requests.
pub const QUIET4: [u8; 4] = [198, 51, 100, 11];
/// A VIP that does not answer echo requests.
pub const QUIET6: [u8; 16] = v6(0x10, 11);
/// An address that is no VIP.
pub const PLAIN4: [u8; 4] = [192, 0, 2, 80];
/// An address that is no VIP.
pub const PLAIN6: [u8; 16] = v6(0, 80);
/// This node's address for encapsulated packets.
pub const SELF4: [u8; 4] = [192, 0, 2, 1];
/// This node's address for encapsulated packets.
pub const SELF6: [u8; 16] = v6(0, 1);
/// The other nodes' address for encapsulated packets.
pub const PEER4: [u8; 4] = [192, 0, 2, 2];
/// The other nodes' address for encapsulated packets.
pub const PEER6: [u8; 16] = v6(0, 2);

/// Another interface of this node.
pub const SECOND_LINK: u32 = 7;
/// Bytes of the largest IP packet on the way to nodes that are reached by GUE.
pub const MTU: u16 = 1500;

/// `2001:db8:<net>::<host>`.
const fn v6(net: u8, host: u8) -> [u8; 16] {
    [0x20, 0x01, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

/// Nodes by index.
pub mod node {
    use super::NodeIndex;
    /// This one.
    pub const SELF: NodeIndex = 0;
    /// By L2, on the interface that packets come in by.
    pub const NEAR: NodeIndex = 1;
    /// By L2, on another interface.
    pub const NEAR_SECOND: NodeIndex = 2;
    /// By GUE over IPv4.
    pub const FAR4: NodeIndex = 3;
    /// By GUE over IPv6.
    pub const FAR6: NodeIndex = 4;
    /// By GUE over IPv4, on another interface.
    pub const FAR4_SECOND: NodeIndex = 5;
    /// Its next hop is not resolved.
    pub const UNRESOLVED: NodeIndex = 6;
    /// Its way is a number that this version does not know.
    pub const UNKNOWN_WAY: NodeIndex = 7;
    /// Not in the map.
    pub const OUTSIDE: NodeIndex = 900;
}

/// Ports of the VIPs, by what they lead to; each for TCP and UDP, IPv4 and IPv6.
pub mod port {
    /// [`super::node::SELF`] in all slots.
    pub const LOCAL: u16 = 8000;
    /// [`super::node::NEAR`] in all slots.
    pub const NEAR: u16 = 8001;
    /// [`super::node::NEAR_SECOND`] in all slots.
    pub const NEAR_SECOND: u16 = 8002;
    /// [`super::node::FAR4`] in all slots.
    pub const FAR4: u16 = 8003;
    /// [`super::node::FAR6`] in all slots.
    pub const FAR6: u16 = 8004;
    /// [`super::node::FAR4_SECOND`] in all slots.
    pub const FAR4_SECOND: u16 = 8005;
    /// [`super::node::UNRESOLVED`] in all slots.
    pub const UNRESOLVED: u16 = 8006;
    /// [`super::node::UNKNOWN_WAY`] in all slots.
    pub const UNKNOWN_WAY: u16 = 8007;
    /// [`super::node::OUTSIDE`] in all slots.
    pub const OUTSIDE: u16 = 8008;
    /// No leader in any slot.
    pub const LEADERLESS: u16 = 8009;
    /// A ring behind the end of the map.
    pub const RINGLESS: u16 = 8010;
    /// [`super::node::NEAR`] and [`super::node::NEAR_SECOND`] in turns.
    pub const SPREAD: u16 = 8011;
    /// The same with session affinity.
    pub const SPREAD_AFFINITY: u16 = 8012;
    /// Leads to [`super::node::NEAR`]; its statistics are behind the end of the map.
    pub const UNCOUNTED: u16 = 8013;
    /// The port of GUE, as a VIP's: leads to [`super::node::SELF`].
    pub const GUE: u16 = 6080;
    /// Leads nowhere.
    pub const UNUSED: u16 = 9999;
}

/// A state of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fixture {
    /// All is well.
    Standard,
    /// The agent has not written its configuration, and names no interface.
    Unconfigured,
    /// This node has no address for encapsulated packets and no answers to echo requests left.
    Silent,
}

impl Fixture {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Unconfigured, Self::Silent];

    /// The maps.
    pub fn tables(self) -> HostTables {
        let mut config = Config {
            hash_key: HashKey { k0: 0x0123_4567_89ab_cdef, k1: 0xfedc_ba98_7654_3210 },
            address4: SELF4,
            self_node: node::SELF,
            pad: 0,
            address6: SELF6,
            // More than any test asks for, so that the clock does not matter.
            echo_rate: u32::MAX,
            pad2: 0,
        };
        match self {
            Self::Standard => {}
            Self::Unconfigured => config.self_node = NO_NODE,
            Self::Silent => (config.address4, config.address6, config.echo_rate) = ([0; 4], [0; 16], 0),
        }
        let mut tables = HostTables::new(Sizes { slots: 1024, nodes: 16, vip_stats: 16 }, config);
        if self != Self::Unconfigured {
            tables.links.insert(INGRESS, Link { mac: SELF_MAC, pad: [0; 2] });
        }
        add_nodes(&mut tables);
        add_vips(&mut tables);
        tables
    }
}

fn add_nodes(tables: &mut HostTables) {
    let mac = |index: NodeIndex| [0x02, 0, 0, 0, 2, index as u8];
    let mut set = |index: NodeIndex, way: u8, ifindex: u32| {
        let source_mac = if ifindex == INGRESS { SELF_MAC } else { SECOND_MAC };
        tables.nodes[usize::from(index)] =
            Node { way, mtu: MTU, ifindex, next_hop_mac: mac(index), source_mac, ..Node::NONE };
    };
    set(node::NEAR, way::L2, INGRESS);
    set(node::NEAR_SECOND, way::L2, SECOND_LINK);
    set(node::FAR4, way::GUE4, INGRESS);
    set(node::FAR6, way::GUE6, INGRESS);
    set(node::FAR4_SECOND, way::GUE4, SECOND_LINK);
    set(node::UNRESOLVED, way::NONE, INGRESS);
    set(node::UNKNOWN_WAY, 0x7f, INGRESS);
    for index in [node::FAR4, node::FAR4_SECOND] {
        let node = &mut tables.nodes[usize::from(index)];
        node.outer_source[..4].copy_from_slice(&SELF4);
        node.outer_destination[..4].copy_from_slice(&PEER4);
        node.outer_sum = gue::outer_v4_sum(SELF4, PEER4);
    }
    let node = &mut tables.nodes[usize::from(node::FAR6)];
    (node.outer_source, node.outer_destination) = (SELF6, PEER6);

    let [a, b, c, d, e, f] = PEER_MAC;
    tables.peer_macs.insert([a, b, c, d, e, f, 0, 0], u32::from(node::NEAR));
    let [a, b, c, d] = PEER4;
    tables.peers.insert([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d], u32::from(node::FAR4));
    tables.peers.insert(PEER6, u32::from(node::FAR6));
}

fn add_vips(tables: &mut HostTables) {
    let everywhere = |leader| vec![Slot { leader, ..Slot::EMPTY }; 4];
    let spread: Vec<Slot> = [node::NEAR, node::NEAR_SECOND].map(|n| everywhere(n)[0]).repeat(128);
    let rings = [
        (port::LOCAL, everywhere(node::SELF), 0),
        (port::NEAR, everywhere(node::NEAR), 0),
        (port::NEAR_SECOND, everywhere(node::NEAR_SECOND), 0),
        (port::FAR4, everywhere(node::FAR4), 0),
        (port::FAR6, everywhere(node::FAR6), 0),
        (port::FAR4_SECOND, everywhere(node::FAR4_SECOND), 0),
        (port::UNRESOLVED, everywhere(node::UNRESOLVED), 0),
        (port::UNKNOWN_WAY, everywhere(node::UNKNOWN_WAY), 0),
        (port::OUTSIDE, everywhere(node::OUTSIDE), 0),
        (port::LEADERLESS, everywhere(NO_NODE), 0),
        (port::SPREAD, spread.clone(), 0),
        (port::SPREAD_AFFINITY, spread, VIP_AFFINITY),
        (port::GUE, everywhere(node::SELF), 0),
    ];
    let mut ring = 0;
    for (number, (port, slots, flags)) in (0..).zip(rings) {
        let mask = slots.len() as u32 - 1;
        tables.slots[ring as usize..][..slots.len()].copy_from_slice(&slots);
        add_ports(tables, port, Vip { ring, mask, number, flags });
        ring += slots.len() as u32;
    }
    let outside = tables.sizes.slots;
    add_ports(tables, port::RINGLESS, Vip { ring: outside, mask: 3, number: 14, flags: 0 });
    add_ports(tables, port::UNCOUNTED, Vip { ring: 4, mask: 3, number: 16, flags: 0 });

    let address = |flags| Vip { ring: 0, mask: 3, number: 15, flags };
    tables.vips4.insert(Vip4Key::address(VIP4), address(VIP_ECHO));
    tables.vips4.insert(Vip4Key::address(QUIET4), address(0));
    tables.vips6.insert(Vip6Key::address(VIP6), address(VIP_ECHO));
    tables.vips6.insert(Vip6Key::address(QUIET6), address(0));
    tables.arp.insert(VIP4, Announcer::only(node::SELF));
    tables.arp.insert(QUIET4, Announcer::only(node::NEAR));
}

fn add_ports(tables: &mut HostTables, port: u16, vip: Vip) {
    for protocol in [6, 17] {
        tables.vips4.insert(Vip4Key::port(VIP4, port.to_be_bytes(), protocol), vip);
        tables.vips6.insert(Vip6Key::port(VIP6, port.to_be_bytes(), protocol), vip);
    }
}
