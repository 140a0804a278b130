//! The cluster of the test packets: its nodes, and the target of each VIP port.

pub mod announcers;
pub mod node;
pub mod port;
pub mod sources;

use std::net::Ipv4Addr;

use lb_common::forwarding::ForwardingMode;
use lb_common::hash::{FlowKeys, HashKey};
use lb_common::maps::{
    AddressFilter, BFD_LISTENS, BFD_LISTENS_MULTIHOP, BFD_PEER, BFD_PEER_MULTIHOP, BfdAddress, BfdSession,
    CONFIG_DRAINING, CONFIG_IPIP, CONFIG_LEAVING, CONFIG_UNREACHABLE, Config, LIVENESS_ADMIN_DOWN,
    LIVENESS_HELD, LIVENESS_LEAVING, LIVENESS_UP, Link, Liveness, MacFilter, Node, Standing, UPLINKS,
    VIP_AFFINITY, VIP_CLOSED, VIP_ECHO, VIP_NEW_LEADER, Vip, Vip4Key, Vip6Key, agent_cell, capacity,
};
use lb_common::ring::{FORMER, NO_NODE, NodeIndex, Slot};
use lb_common::tag::{self, TagKey};
use lb_common::wire::{bfd, gue};

use crate::kernel::INGRESS;
use crate::model::{HostTables, Sizes};

/// A MAC address.
pub type Mac = [u8; 6];

/// This node's MAC.
pub const SELF_MAC: Mac = [0x02, 0, 0, 0, 0, 0x01];
/// The router's MAC, where packets come from.
pub const ROUTER_MAC: Mac = [0x02, 0, 0, 0, 0, 0xfe];
/// The MAC of another node.
pub const NODE_MAC: Mac = [0x02, 0, 0, 0, 0, 0x02];
/// An unknown MAC.
pub const OTHER_MAC: Mac = [0x02, 0, 0, 0, 0, 0x77];
/// The MAC of this node's other interface.
pub const SECOND_MAC: Mac = [0x02, 0, 0, 0, 1, 0x01];

/// A client.
pub const CLIENT4: [u8; 4] = [203, 0, 113, 9];
/// A client.
pub const CLIENT6: [u8; 16] = v6(0xc, 9);
/// A VIP that this node announces and that answers echo requests.
pub const VIP4: [u8; 4] = [198, 51, 100, 10];
/// A VIP that this node announces and that answers echo requests; like those of [`VIP4`], its undeclared
/// ports are refused.
pub const VIP6: [u8; 16] = v6(0x10, 10);
/// A VIP that another node announces, and that does not answer echo requests. Its later fragments go to
/// [`node::NEAR`], those of the VIPs above to this node.
pub const QUIET4: [u8; 4] = [198, 51, 100, 11];
/// A VIP that this node announces on an uplink other than the one on which packets arrive.
pub const OTHER_UPLINK4: [u8; 4] = [198, 51, 100, 12];
/// A VIP that this node announces on an uplink other than the one on which packets arrive.
pub const OTHER_UPLINK6: [u8; 16] = v6(0x10, 12);
/// A VIP that another node announces, and that does not answer echo requests.
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
pub const NODE4: [u8; 4] = [192, 0, 2, 2];
/// The other nodes' address for encapsulated packets.
pub const NODE6: [u8; 16] = v6(0, 2);

/// A router with which this node has BFD sessions.
pub const ROUTER4: [u8; 4] = [192, 0, 2, 254];
/// A router one hop away whose BFD session is not up.
pub const DOWN_ROUTER4: [u8; 4] = [192, 0, 2, 253];
/// A router with which this node has BFD sessions.
pub const ROUTER6: [u8; 16] = v6(0, 254);

/// Another interface of this node.
pub const SECOND_LINK: u32 = 7;
/// The MTU of the path to nodes reached by GUE.
pub const MTU: u16 = 1500;

/// The probe clock.
pub const CLOCK: u32 = 1000;
/// Ticks after which a silent node is dead.
pub const LIVENESS_LIMIT: u32 = 15;
/// Ticks for which packets of unknown flows are held after a node has died.
pub const HOLD_TICKS: u32 = 20;
/// The secret from which this node's discriminators are derived.
const PROBE_NONCE: u64 = 0xbeef;
/// The cluster's secret for the flow hash.
pub const HASH_KEY: HashKey = HashKey { k0: 0x0123_4567_89ab_cdef, k1: 0xfedc_ba98_7654_3210 };
/// The flow hash's keys, derived from it.
pub const FLOW_KEYS: FlowKeys = FlowKeys::of(&HASH_KEY);
/// The keys of tags: the current one and the previous one.
pub const TAG_KEYS: [TagKey; 2] = [
    TagKey { id: 9, key: HashKey { k0: 0x0f1e_2d3c_4b5a_6978, k1: 0x8796_a5b4_c3d2_e1f0 } },
    TagKey { id: 8, key: HashKey { k0: 0x1122_3344_5566_7788, k1: 0x99aa_bbcc_ddee_ff00 } },
];

/// Capacity of the map of nodes.
const NODES: usize = 28;

/// Returns a node's wire ID.
pub const fn wire_id(index: NodeIndex) -> u32 {
    0xfa1e_0000 | index as u32
}

/// Returns this node's S-BFD discriminator for a node.
pub const fn discriminator(index: NodeIndex) -> u32 {
    tag::discriminator(PROBE_NONCE, index)
}

/// Returns `2001:db8:<net>::<host>`.
const fn v6(net: u8, host: u8) -> [u8; 16] {
    [0x20, 0x01, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

/// This node's discriminators of its BFD sessions with routers.
pub mod session {
    /// With [`super::ROUTER4`], one hop away.
    pub const NEXT4: u32 = 0x0102_0304;
    /// With [`super::ROUTER6`], one hop away.
    pub const NEXT6: u32 = 2;
    /// With [`super::ROUTER4`], multihop, minimum TTL 250.
    pub const FAR4: u32 = 3;
    /// With [`super::ROUTER6`], multihop, minimum hop limit 254.
    pub const FAR6: u32 = 0xffff_ffff;
    /// As [`NEXT4`]; the agent is late.
    pub const LATE4: u32 = 0x0506_0708;
    /// As [`NEXT6`]; the agent is late.
    pub const LATE6: u32 = 6;
    /// As [`FAR4`]; the agent is late.
    pub const LATE_FAR4: u32 = 7;
    /// As [`LATE4`], but the agent has just sent a packet.
    pub const SENT4: u32 = 8;
    /// As [`LATE4`], but the program has just answered.
    pub const ANSWERED4: u32 = 9;
    /// As [`LATE4`], but the agent is gone for too long.
    pub const GONE4: u32 = 10;
    /// As [`LATE4`], but the router has said that the session is down.
    pub const OVER4: u32 = 11;
    /// As [`LATE4`], but the agent has not said that the session is up.
    pub const UNSAID4: u32 = 12;
}

/// A state of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fixture {
    /// The normal state.
    Standard,
    /// The agent has not yet written its configuration, nor any interface.
    Unconfigured,
    /// This node has no address for encapsulated packets, has reached its echo and ICMP error limits, and
    /// probes no node.
    Silent,
    /// This node drains.
    Draining,
    /// This node drains, and is about to be shut down.
    Leaving,
    /// This node has returned a short time ago.
    Returned,
    /// This node has returned, and is ready to be stable.
    Ready,
    /// This node announces nothing.
    Absent,
    /// This node's agent is gone, and other nodes probe the node.
    Abandoned,
    /// This node's agent is gone, and no other node probes the node.
    Forsaken,
    /// This node drains, and probes no node.
    Alone,
    /// This node holds [`node::FAR4`], and [`node::FAR6`] has died.
    Holding,
    /// The same, and this node announces nothing.
    HoldingAbsent,
    /// This node has no address for encapsulated packets.
    Addressless,
    /// The interface on which packets arrive is not in the configuration, so the map of interfaces is looked
    /// up; and IP in IP is disabled.
    OtherUplink,
    /// Packets to undeclared ports are dropped.
    Dropping,
    /// All Services have source ranges, as [`sources`] says.
    Sources,
}

impl Fixture {
    /// All fixtures.
    pub const ALL: [Self; 17] = [
        Self::Standard,
        Self::Unconfigured,
        Self::Silent,
        Self::Draining,
        Self::Leaving,
        Self::Returned,
        Self::Ready,
        Self::Absent,
        Self::Abandoned,
        Self::Forsaken,
        Self::Alone,
        Self::Holding,
        Self::HoldingAbsent,
        Self::Addressless,
        Self::OtherUplink,
        Self::Dropping,
        Self::Sources,
    ];

    /// Builds the maps.
    pub fn tables(self) -> HostTables {
        let mut config = Config {
            flow_keys: FLOW_KEYS,
            tag_keys: TAG_KEYS.map(|key| key.key),
            probe_nonce: PROBE_NONCE,
            address4: SELF4,
            self_node: node::SELF,
            flags: CONFIG_UNREACHABLE | CONFIG_IPIP,
            address6: SELF6,
            // More than any test sends, so that the clock does not matter.
            echo_rate: u32::MAX,
            id: wire_id(node::SELF),
            liveness_limit: LIVENESS_LIMIT,
            hold_ticks: HOLD_TICKS,
            agent_limit: 0,
            tag_key_ids: TAG_KEYS.map(|key| key.id),
            pad: [0; 2],
            // Not in the first place: the search must not stop there.
            uplinks: [SECOND_LINK, 0, INGRESS, 0],
            uplink_links: [
                Link { mac: SECOND_MAC, number: 1 },
                Link::NONE,
                Link { mac: SELF_MAC, number: 0 },
                Link::NONE,
            ],
            icmp_error_rate: u32::MAX,
            flow_mask: capacity::FLOW_SETS as u32 - 1,
            vips: AddressFilter::EMPTY,
            node_macs: MacFilter::EMPTY,
        };
        // False positives of the filter.
        config.vips.add4(SELF4);
        config.vips.add6(SELF6);
        match self {
            Self::Standard | Self::Sources | Self::Holding => {}
            Self::Unconfigured => {
                (config.self_node, config.uplinks) = (NO_NODE, [0; UPLINKS]);
                config.uplink_links = [Link::NONE; UPLINKS];
                (config.flags, config.vips) = (0, AddressFilter::EMPTY);
            }
            Self::Silent => {
                (config.address4, config.address6) = ([0; 4], [0; 16]);
                (config.echo_rate, config.icmp_error_rate, config.liveness_limit) = (0, 0, 0);
            }
            Self::Addressless => (config.address4, config.address6) = ([0; 4], [0; 16]),
            Self::Draining => config.flags |= CONFIG_DRAINING,
            Self::Leaving => config.flags |= CONFIG_DRAINING | CONFIG_LEAVING,
            Self::Returned => config.flags |= Config::standing_flags(Standing::Returned),
            Self::Ready => config.flags |= Config::standing_flags(Standing::Ready),
            Self::Absent | Self::HoldingAbsent => config.flags |= Config::standing_flags(Standing::Absent),
            Self::Abandoned | Self::Forsaken => config.agent_limit = 1,
            Self::Alone => {
                (config.liveness_limit, config.flags) = (0, config.flags | CONFIG_DRAINING);
            }
            Self::Dropping => config.flags &= !CONFIG_UNREACHABLE,
            Self::OtherUplink => {
                config.uplinks = [SECOND_LINK, 0, 0, 0];
                config.flags &= !CONFIG_IPIP;
            }
        }
        let mut tables = HostTables::new(Sizes { slots: 1024, nodes: NODES as u32, vip_stats: 64 }, config);
        if self != Self::Unconfigured {
            tables.links.insert(INGRESS, Link { mac: SELF_MAC, number: 0 });
        }
        tables.nodes = nodes();
        add_node_addresses(&mut tables);
        add_vips(&mut tables);
        if self != Self::Unconfigured {
            tables.fill_filters();
        }
        add_sessions(&mut tables);
        announcers::add(&mut tables);
        if self == Self::Sources {
            sources::add(&mut tables);
        }
        self.reset(&tables);
        tables
    }

    /// Resets the liveness of all nodes to the initial state.
    pub fn reset(self, tables: &HostTables) {
        // Times long past, and such as do not pass as long as a test runs.
        tables.set_agent_cell(agent_cell::ALIVE, 1);
        let probed = if self == Self::Abandoned { u64::MAX } else { 0 };
        tables.set_agent_cell(agent_cell::PROBED, probed);
        tables.set_agent_cell(agent_cell::bfd_sent(1), u64::MAX);
        let holds = matches!(self, Self::Holding | Self::HoldingAbsent);
        for index in 0..capacity::CLOCK {
            let (silence, state) = match index as NodeIndex {
                node::DEAD => (LIVENESS_LIMIT + HOLD_TICKS, LIVENESS_UP),
                node::LOST => (LIVENESS_LIMIT + HOLD_TICKS - 1, LIVENESS_UP),
                node::JUST_LOST => (LIVENESS_LIMIT, LIVENESS_UP),
                node::DRAINING => (LIVENESS_LIMIT - 1, LIVENESS_ADMIN_DOWN),
                node::DRAINING_SECOND => (0, LIVENESS_ADMIN_DOWN),
                node::LEAVING => (LIVENESS_LIMIT - 1, LIVENESS_ADMIN_DOWN | LIVENESS_LEAVING),
                node::LEFT => (LIVENESS_LIMIT, LIVENESS_ADMIN_DOWN | LIVENESS_LEAVING),
                node::FAR4 if holds => (LIVENESS_LIMIT - 1, LIVENESS_HELD),
                node::FAR6 if holds => (LIVENESS_LIMIT, LIVENESS_UP),
                node => announcers::liveness(node).unwrap_or((LIVENESS_LIMIT - 1, LIVENESS_UP)),
            };
            tables.set_liveness(index, Liveness { last_seen: CLOCK - silence, state });
        }
        tables.set_liveness(capacity::CLOCK, Liveness { last_seen: CLOCK, state: 0 });
    }
}

/// Returns the nodes by index.
pub fn nodes() -> Vec<Node> {
    const L2: u8 = ForwardingMode::L2 as u8;
    const GUE: u8 = ForwardingMode::Gue as u8;
    const IPIP: u8 = ForwardingMode::Ipip as u8;
    let mut nodes = vec![Node::NONE; NODES];
    let mac = |index: NodeIndex| [0x02, 0, 0, 0, 2, index as u8];
    let mut set = |index: NodeIndex, mode: u8, outer_family: u8, ifindex: u32| {
        let source_mac = if ifindex == INGRESS { SELF_MAC } else { SECOND_MAC };
        let mut node = Node {
            mode,
            outer_family,
            mtu: MTU,
            ifindex,
            next_hop_mac: mac(index),
            source_mac,
            id: wire_id(index),
            discriminator: discriminator(index),
            ..Node::NONE
        };
        match outer_family {
            4 => {
                node.outer_source[..4].copy_from_slice(&SELF4);
                node.outer_destination[..4].copy_from_slice(&NODE4);
                node.outer_sum = gue::outer_v4_sum(SELF4, NODE4);
            }
            6 => (node.outer_source, node.outer_destination) = (SELF6, NODE6),
            _ => {}
        }
        nodes[usize::from(index)] = node;
    };
    set(node::NEAR, L2, 0, INGRESS);
    set(node::NEAR_SECOND, L2, 0, SECOND_LINK);
    set(node::FAR4, GUE, 4, INGRESS);
    set(node::FAR6, GUE, 6, INGRESS);
    set(node::FAR4_SECOND, GUE, 4, SECOND_LINK);
    set(node::UNRESOLVED, 0, 0, INGRESS);
    set(node::UNKNOWN_MODE, 0x7f, 0, INGRESS);
    set(node::NEAR_GUE4, L2, 4, INGRESS);
    set(node::NEAR_GUE6, L2, 6, SECOND_LINK);
    set(node::DEAD, L2, 0, INGRESS);
    set(node::LOST, L2, 0, INGRESS);
    set(node::DRAINING, GUE, 4, INGRESS);
    set(node::DRAINING_SECOND, L2, 0, INGRESS);
    set(node::JUST_LOST, L2, 0, INGRESS);
    set(node::IPIP4, IPIP, 4, INGRESS);
    set(node::IPIP6, IPIP, 6, SECOND_LINK);
    for index in node::RETURNED..NODES as NodeIndex {
        set(index, L2, 0, INGRESS);
    }
    nodes
}

fn add_node_addresses(tables: &mut HostTables) {
    let [a, b, c, d, e, f] = NODE_MAC;
    tables.node_macs.insert([a, b, c, d, e, f, 0, 0], u32::from(node::NEAR));
    let [a, b, c, d] = NODE4;
    tables
        .node_addresses
        .insert([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d], u32::from(node::FAR4));
    tables.node_addresses.insert(NODE6, u32::from(node::FAR6));
}

/// The discriminator of the routers.
pub const ROUTER_DISCRIMINATOR: u32 = 0x0a0b_0c0d;
/// The agent's UDP source port of all sessions.
pub const BFD_SOURCE_PORT: u16 = 60_000;
/// The second byte of a BFD packet in state Up.
const UP: u8 = 0xc0;

/// Returns a BFD packet of a router for a session.
pub fn router_control(state_and_flags: u8, session: u32) -> [u8; bfd::LENGTH] {
    let router = ROUTER_DISCRIMINATOR.to_be_bytes();
    bfd_control(state_and_flags, [router, session.to_be_bytes()], 300_000)
}

/// Returns the BFD packet that answers it.
pub fn own_control(state_and_flags: u8, session: u32) -> [u8; bfd::LENGTH] {
    let router = ROUTER_DISCRIMINATOR.to_be_bytes();
    bfd_control(state_and_flags, [session.to_be_bytes(), router], 50_000)
}

fn bfd_control(state_and_flags: u8, [mine, yours]: [[u8; 4]; 2], interval: u32) -> [u8; bfd::LENGTH] {
    bfd::Control {
        version_and_diagnostic: bfd::VERSION,
        state_and_flags,
        multiplier: 3,
        length: bfd::LENGTH as u8,
        my_discriminator: mine,
        your_discriminator: yours,
        intervals: [interval, interval, 50_000].map(u32::to_be_bytes),
    }
    .to_bytes()
}

/// A session that is up, whose agent is never late.
fn up(discriminator: u32, [remote, local]: [[u8; 16]; 2], port: [u8; 2], minimum_ttl: u8) -> BfdSession {
    BfdSession {
        remote,
        local,
        theirs: bfd::words(&router_control(UP, discriminator)),
        ours: bfd::words(&own_control(UP | bfd::INDEPENDENT, discriminator)),
        heard: 0,
        answered: 0,
        late_after: 0,
        answer_interval: 0,
        dead_after: u64::MAX,
        port,
        source_port: BFD_SOURCE_PORT.to_be_bytes(),
        number: 0,
        minimum_ttl,
        pad: 0,
    }
}

fn add_sessions(tables: &mut HostTables) {
    let mapped = |address: [u8; 4]| Ipv4Addr::from(address).to_ipv6_mapped().octets();
    let (v4, v6) = ([mapped(ROUTER4), mapped(SELF4)], [ROUTER6, SELF6]);
    let (next, far) = (bfd::SINGLE_HOP_PORT, bfd::MULTIHOP_PORT);
    let mut add = |discriminator, path: [[u8; 16]; 2], port, minimum_ttl| {
        tables.bfd.insert(discriminator, up(discriminator, path, port, minimum_ttl));
        let [peer, listens] = match port {
            bfd::SINGLE_HOP_PORT => [BFD_PEER, BFD_LISTENS],
            _ => [BFD_PEER_MULTIHOP, BFD_LISTENS_MULTIHOP],
        };
        let [remote, local] = path;
        let remote = tables.bfd_addresses.entry(remote).or_default();
        (remote.discriminator, remote.flags) = (discriminator, remote.flags | peer);
        if port == bfd::MULTIHOP_PORT {
            remote.minimum_ttl = minimum_ttl;
        }
        tables.bfd_addresses.entry(local).or_default().flags |= listens;
    };
    add(session::FAR4, v4, far, 250);
    add(session::FAR6, v6, far, 254);
    add(session::NEXT4, v4, next, 255);
    add(session::NEXT6, v6, next, 255);
    let coming_up = BfdAddress { flags: BFD_PEER, ..BfdAddress::default() };
    tables.bfd_addresses.insert(mapped(DOWN_ROUTER4), coming_up);
    let late = |discriminator, path, port, minimum_ttl| BfdSession {
        late_after: 1,
        ..up(discriminator, path, port, minimum_ttl)
    };
    let late4 = |discriminator| late(discriminator, v4, next, 255);
    let down = |discriminator| bfd::words(&router_control(bfd::DOWN, discriminator));
    let sessions = [
        (session::LATE4, late4(session::LATE4)),
        (session::LATE6, late(session::LATE6, v6, next, 255)),
        (session::LATE_FAR4, late(session::LATE_FAR4, v4, far, 250)),
        // The agent's packet is not sent yet by any clock of the tests.
        (session::SENT4, BfdSession { number: 1, ..late4(session::SENT4) }),
        (
            session::ANSWERED4,
            BfdSession { answered: u64::MAX, answer_interval: 1, ..late4(session::ANSWERED4) },
        ),
        (session::GONE4, BfdSession { dead_after: 1, ..late4(session::GONE4) }),
        (session::OVER4, BfdSession { theirs: down(session::OVER4), ..late4(session::OVER4) }),
        (session::UNSAID4, BfdSession { ours: [0; 3], ..late4(session::UNSAID4) }),
    ];
    tables.bfd.extend(sessions);
}

/// As many former leaders as a slot holds; one of them is dead.
pub const LONG_FORMER: [NodeIndex; FORMER] = [
    node::FAR4,
    node::FAR4_SECOND,
    node::NEAR,
    node::NEAR_SECOND,
    node::NEAR_GUE4,
    node::NEAR_GUE6,
    node::FAR6,
    node::IPIP4,
    node::IPIP6,
    node::DRAINING,
    node::DEAD,
    node::DRAINING_SECOND,
];

/// Builds a slot with these leaders and former leaders.
fn slot(order: &[NodeIndex], former: &[NodeIndex]) -> Slot {
    let (mut o, mut f) = ([NO_NODE; 4], [NO_NODE; FORMER]);
    o[..order.len()].copy_from_slice(order);
    f[..former.len()].copy_from_slice(former);
    let [leader, a, b, c] = o;
    Slot { leader, successors: [a, b, c], former: f }
}

/// Returns the ports whose slots are all equal, with the slot and the VIP's flags.
fn plain_rings() -> Vec<(u16, Slot, u32)> {
    use node::*;
    vec![
        (port::LOCAL, slot(&[SELF], &[]), 0),
        (port::NEAR, slot(&[NEAR], &[]), 0),
        (port::NEAR_SECOND, slot(&[NEAR_SECOND], &[]), 0),
        (port::FAR4, slot(&[FAR4], &[]), 0),
        (port::FAR6, slot(&[FAR6], &[]), 0),
        (port::FAR4_SECOND, slot(&[FAR4_SECOND], &[]), 0),
        (port::UNRESOLVED, slot(&[UNRESOLVED], &[]), 0),
        (port::UNKNOWN_MODE, slot(&[UNKNOWN_MODE], &[]), 0),
        (port::OUTSIDE, slot(&[OUTSIDE], &[]), 0),
        (port::LEADERLESS, slot(&[], &[]), 0),
        (port::GUE, slot(&[SELF], &[]), 0),
        (port::SBFD, slot(&[NEAR], &[]), 0),
        (port::BEHIND_DEAD, slot(&[DEAD, NEAR, FAR4], &[]), 0),
        (port::BEHIND_DRAINING, slot(&[DRAINING, LOST, FAR4], &[]), 0),
        (port::DRAINING, slot(&[DEAD, DRAINING, DRAINING_SECOND], &[NEAR]), 0),
        (port::DEAD, slot(&[DEAD, LOST, JUST_LOST], &[NEAR]), 0),
        (port::SELF_BEHIND_DEAD, slot(&[DEAD, SELF], &[]), 0),
        (port::SELF_BEHIND_LOST, slot(&[LOST, SELF], &[]), 0),
        (port::FORMER_LOST, slot(&[SELF], &[JUST_LOST]), 0),
        (port::FORMER_SELF, slot(&[NEAR], &[SELF]), 0),
        (port::TAKEN_OVER, slot(&[SELF, NEAR_GUE4, FAR6], &[FAR4, FAR4_SECOND]), 0),
        (port::NEW_LEADER, slot(&[SELF, NEAR_GUE4, FAR6], &[FAR4, FAR4_SECOND]), VIP_NEW_LEADER),
        (port::SUCCESSORS, slot(&[SELF, FAR4, FAR6], &[]), 0),
        (port::NEW_LEADER_SUCCESSORS, slot(&[SELF, FAR4, FAR6], &[]), VIP_NEW_LEADER),
        (port::FULL, slot(&[SELF, NEAR_GUE4, NEAR_GUE6, FAR6], &[FAR4, FAR4_SECOND, NEAR, NEAR_SECOND]), 0),
        (port::FORMER_DRAINING, slot(&[SELF], &[DEAD, DRAINING, FAR4]), 0),
        (port::FORMER_NEAR, slot(&[SELF], &[NEAR]), 0),
        (port::FORMER_NEAR_SECOND, slot(&[SELF], &[NEAR_SECOND]), 0),
        (port::FORMER_NEAR_GUE4, slot(&[SELF], &[NEAR_GUE4]), 0),
        (port::FORMER_NEAR_GUE6, slot(&[SELF], &[NEAR_GUE6]), 0),
        (port::FORMER_UNRESOLVED, slot(&[SELF], &[UNRESOLVED]), 0),
        (port::FORMER_OUTSIDE, slot(&[SELF], &[OUTSIDE]), 0),
        (port::FORMERS_LOST, slot(&[SELF], &[JUST_LOST, FAR4]), 0),
        (port::NEW_LEADER_FORMERS_LOST, slot(&[SELF], &[JUST_LOST, FAR4]), VIP_NEW_LEADER),
        (port::IPIP4, slot(&[IPIP4], &[]), 0),
        (port::IPIP6, slot(&[IPIP6], &[]), 0),
        (port::FORMER_IPIP4, slot(&[SELF], &[IPIP4]), 0),
        (port::FORMER_IPIP6, slot(&[SELF], &[IPIP6]), 0),
        (port::FAR4_FORMER_SELF, slot(&[FAR4], &[SELF]), 0),
        (port::FAR6_FORMER_SELF, slot(&[FAR6], &[SELF]), 0),
        (port::NEAR_SELF, slot(&[NEAR, SELF], &[]), 0),
        (port::NEAR_FORMERS, slot(&[NEAR], &[SELF, FAR4]), 0),
        (port::LONG, slot(&[SELF], &LONG_FORMER), 0),
        (port::DEAD_FORMERS, slot(&[DEAD, SELF], &[SELF, FAR4]), 0),
        (port::FORMER_LEAVING, slot(&[SELF], &[LEAVING]), 0),
        (port::NEW_LEADER_LEAVING, slot(&[SELF], &[LEAVING]), VIP_NEW_LEADER),
        (port::FORMER_LEFT, slot(&[SELF], &[LEFT]), 0),
        (port::TAKEN_OVER_AFFINITY, slot(&[SELF], &[FAR4]), VIP_AFFINITY),
    ]
}

fn add_vips(tables: &mut HostTables) {
    let spread: Vec<Slot> = [node::NEAR, node::NEAR_SECOND].map(|n| slot(&[n], &[])).repeat(128);
    let mut rings: Vec<_> =
        plain_rings().into_iter().map(|(port, slot, flags)| (port, vec![slot; 4], flags)).collect();
    rings.push((port::SPREAD, spread.clone(), 0));
    rings.push((port::SPREAD_AFFINITY, spread, VIP_AFFINITY));
    let (mut ring, mut near) = (0, 0);
    for (number, (port, slots, flags)) in (0..).zip(rings) {
        let mask = slots.len() as u32 - 1;
        tables.slots[ring as usize..][..slots.len()].copy_from_slice(&slots);
        add_ports(tables, port, Vip { ring, mask, number, flags });
        if port == port::NEAR {
            near = ring;
        }
        ring += slots.len() as u32;
    }
    let outside = tables.sizes.slots;
    add_ports(tables, port::RINGLESS, Vip { ring: outside, mask: 3, number: 62, flags: 0 });
    add_ports(tables, port::UNCOUNTED, Vip { ring: near, mask: 3, number: 64, flags: 0 });

    let address = |flags| Vip { ring: if flags == 0 { near } else { 0 }, mask: 3, number: 63, flags };
    tables.vips4.insert(Vip4Key::address(VIP4), address(VIP_ECHO | VIP_CLOSED));
    tables.vips4.insert(Vip4Key::address(QUIET4), address(0));
    tables.vips6.insert(Vip6Key::address(VIP6), address(VIP_ECHO | VIP_CLOSED));
    tables.vips6.insert(Vip6Key::address(QUIET6), address(0));
}

fn add_ports(tables: &mut HostTables, port: u16, vip: Vip) {
    for protocol in [6, 17, 132] {
        tables.vips4.insert(Vip4Key::port(VIP4, port.to_be_bytes(), protocol), vip);
        tables.vips6.insert(Vip6Key::port(VIP6, port.to_be_bytes(), protocol), vip);
    }
}
