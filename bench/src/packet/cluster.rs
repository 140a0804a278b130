//! The measured cluster: many VIPs, their rings, and a few nodes.

use fairlead_tests::kernel::INGRESS;
use fairlead_tests::model::{HostTables, Sizes};
use fairlead_tests::packets::fixture::{self, Mac};
use lb_common::forwarding::ForwardingMode;
use lb_common::hash::FlowKeys;
use lb_common::maps::{
    AddressFilter, Config, LIVENESS_UP, Link, Liveness, MacFilter, Node, Vip, Vip4Key, Vip6Key, capacity,
};
use lb_common::ring::{FORMER, NO_NODE, NodeIndex, Slot};
use lb_common::tag::TagKey;
use lb_common::wire::gue;

use super::case::{Case, CaseKind, CaseSize, Leads};

/// The port of every VIP.
pub const PORT: u16 = 443;
/// This node's MAC.
pub const SELF_MAC: Mac = [0x02, 0, 0, 0, 0, 1];
/// This node's address for encapsulated packets.
pub const SELF4: [u8; 4] = [192, 0, 2, 1];
/// This node's address for encapsulated packets.
pub const SELF6: [u8; 16] = v6(0xf0, 1);
/// The address of a node that sends encapsulated packets.
pub const NODE4: [u8; 4] = [192, 0, 2, 2];

/// This node's index.
pub const SELF: NodeIndex = 0;
/// The keys of the flow hash.
pub const FLOW_KEYS: FlowKeys = fixture::FLOW_KEYS;
/// The keys of tags; the first one is used in the frames.
const TAG: [TagKey; 2] = fixture::TAG_KEYS;

/// Other nodes, numbered from 1.
pub const NODES: NodeIndex = 16;
/// Slots of a ring.
pub const SLOTS: u32 = 1024;

/// Returns VIP number `n`.
pub const fn vip4(n: u16) -> [u8; 4] {
    let [high, low] = n.to_be_bytes();
    [10, 80, high, low]
}

/// Returns VIP number `n`.
pub const fn vip6(n: u16) -> [u8; 16] {
    v6(0x80, n)
}

/// Returns `2001:db8:<net>::<n>`.
pub const fn v6(net: u8, n: u16) -> [u8; 16] {
    let [high, low] = n.to_be_bytes();
    [0x20, 0x01, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, high, low]
}

/// Returns the cluster of a case, with its numbers of VIPs and rings; all nodes are alive and have one
/// forwarding mode.
pub fn tables(case: &Case) -> HostTables {
    let CaseSize { vips, rings, .. } = case.size;
    let CaseKind { leads, mode, outer_family, protocol, .. } = case.kind;
    let config = Config {
        flow_keys: FLOW_KEYS,
        tag_keys: TAG.map(|key| key.key),
        probe_nonce: 1,
        address4: SELF4,
        self_node: SELF,
        flags: 0,
        address6: SELF6,
        echo_rate: 0,
        id: wire_id(SELF),
        liveness_limit: 15,
        hold_ticks: 100,
        tag_key_ids: TAG.map(|key| key.id),
        agent_limit: 0,
        pad: [0; 2],
        uplinks: [INGRESS, 0, 0, 0],
        uplink_links: [Link { mac: SELF_MAC, number: 0 }, Link::NONE, Link::NONE, Link::NONE],
        icmp_error_rate: 0,
        flow_mask: capacity::FLOW_SETS as u32 - 1,
        vips: AddressFilter::EMPTY,
        node_macs: MacFilter::EMPTY,
    };
    let slots = u32::from(rings) * SLOTS;
    let sizes = Sizes { slots, nodes: u32::from(NODES) + 1, vip_stats: u32::from(vips) };
    let mut tables = HostTables::new(sizes, config);
    for (index, slot) in (0..).zip(&mut tables.slots) {
        *slot = slot_of(index, leads);
    }
    for cell in [capacity::CLOCK].into_iter().chain(1..=u32::from(NODES)) {
        tables.set_liveness(cell, Liveness { last_seen: CLOCK, state: LIVENESS_UP });
    }
    for index in 1..=NODES {
        tables.nodes[usize::from(index)] = node(index, mode, outer_family);
        let mac = next_hop(index);
        tables.node_macs.insert([mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], 0, 0], u32::from(index));
    }
    let [a, b, c, d] = NODE4;
    tables.node_addresses.insert([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d], 1);
    for number in 0..vips {
        let vip =
            Vip { ring: first_slot(case, number), mask: SLOTS - 1, number: u32::from(number), flags: 0 };
        tables.vips4.insert(Vip4Key::port(vip4(number), PORT.to_be_bytes(), protocol), vip);
        tables.vips6.insert(Vip6Key::port(vip6(number), PORT.to_be_bytes(), protocol), vip);
    }
    tables.fill_filters();
    tables
}

/// Returns the first slot of a VIP's ring.
pub fn first_slot(case: &Case, vip: u16) -> u32 {
    u32::from(vip % case.size.rings) * SLOTS
}

/// The probe clock.
pub const CLOCK: u32 = 1000;

const fn wire_id(index: NodeIndex) -> u32 {
    0xfa1e_0000 | index as u32
}

fn slot_of(index: u32, leads: Leads) -> Slot {
    let (first, others) = (leader(index), [leader(index + 1), leader(index + 2), leader(index + 3)]);
    match leads {
        Leads::Others => Slot { leader: first, successors: others, ..Slot::EMPTY },
        Leads::OthersOfFour => {
            let [a, b, c] = [0, 1, 2].map(|turn| 1 + (first + turn) % 3);
            // After one, two or all three of the others.
            let successors = [[SELF, b, c], [b, SELF, c], [b, c, SELF]][(index % 3) as usize];
            Slot { leader: a, successors, ..Slot::EMPTY }
        }
        Leads::Self_ => Slot { leader: SELF, successors: others, ..Slot::EMPTY },
        Leads::TakenOver => {
            let mut former = [NO_NODE; FORMER];
            former[0] = first;
            Slot { leader: SELF, successors: others, former }
        }
    }
}

/// Returns nodes in an order that no prefetcher or branch predictor can learn.
const fn leader(slot: u32) -> NodeIndex {
    1 + (slot.wrapping_mul(0x9e37_79b1) >> 16) as NodeIndex % NODES
}

/// Returns the next-hop MAC of a node.
pub const fn next_hop(index: NodeIndex) -> Mac {
    [0x02, 0, 0, 0, 1, index as u8]
}

/// Returns a node's address for encapsulated packets.
pub const fn node4(index: NodeIndex) -> [u8; 4] {
    [192, 0, 2, index as u8]
}

/// Returns a node's address for encapsulated packets.
pub const fn node6(index: NodeIndex) -> [u8; 16] {
    v6(0xf0, index)
}

fn node(index: NodeIndex, mode: ForwardingMode, outer_family: u8) -> Node {
    let mut node = Node {
        mode: mode as u8,
        outer_family,
        mtu: 1500,
        ifindex: INGRESS,
        next_hop_mac: next_hop(index),
        source_mac: SELF_MAC,
        id: wire_id(index),
        ..Node::NONE
    };
    if outer_family == 6 {
        (node.outer_source, node.outer_destination) = (SELF6, node6(index));
    } else {
        let destination = node4(index);
        node.outer_source[..4].copy_from_slice(&SELF4);
        node.outer_destination[..4].copy_from_slice(&destination);
        node.outer_sum = gue::outer_v4_sum(SELF4, destination);
    }
    node
}
