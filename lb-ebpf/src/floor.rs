//! The floor: the smallest program that does what forwarding an IPv4 packet by MAC rewrite requires.
//!
//! It has one bounds check, plain arrays with only the words that it needs, and handles only IPv4 TCP and UDP
//! without options. For such a packet it does everything that the product's program does: destination MAC,
//! VIP and port, keyed hash, slot, leader, the leader's liveness, whether this node has led the slot, whether
//! the frame comes from a node, TTL, MAC addresses, and three counters.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::macros::btf_map;
use lb_common::hash::{FlowPorts, flow_hash_v4};
use lb_common::maps::Config;

use crate::harness::Memory;
use crate::tools::{self, Tally};

/// State of the node beside its configuration.
#[repr(C)]
struct State {
    /// The probe clock.
    clock: u64,
    /// A bit for each node's MAC, by its last byte.
    node_macs: [u64; 4],
}

/// A VIP's port.
#[repr(C)]
struct Vip {
    address: [u8; 4],
    port: [u8; 2],
    protocol: u8,
    pad: u8,
    /// First slot of its ring, and the number of slots minus one.
    ring: u32,
    mask: u32,
}

/// The next hop to a node.
#[repr(C)]
struct Node {
    macs: [u8; 12],
    ifindex: u32,
}

/// `BPF_F_MMAPABLE`: filled by writing to memory.
const MAPPED: usize = 1 << 10;

#[btf_map(name = "floor_config")]
static CONFIG: Array<Config, 1> = Array::new();
#[btf_map(name = "floor_state")]
static STATE: Array<State, 1> = Array::new();
/// By the last two bytes of the address.
#[btf_map(name = "floor_vips")]
static VIPS: Array<Vip, 65_536> = Array::new();
/// Four slots per entry: the leader, and in the highest bit whether this node has led the slot.
#[btf_map(name = "floor_leaders")]
static LEADERS: Array<u64, 256, MAPPED> = Array::new();
#[btf_map(name = "floor_nodes")]
static NODES: Array<Node, 1024> = Array::new();
/// The time of a node's last answer.
#[btf_map(name = "floor_liveness")]
static LIVENESS: Array<u32, 1024> = Array::new();
#[btf_map(name = "floor_vip_sums")]
static VIP_SUMS: PerCpuArray<Tally, 65_536> = PerCpuArray::new();
#[btf_map(name = "floor_node_sums")]
static NODE_SUMS: PerCpuArray<Tally, 1024> = PerCpuArray::new();
#[btf_map(name = "floor_verdicts")]
static VERDICTS: PerCpuArray<Tally, 4> = PerCpuArray::new();

/// Ethernet, IPv4 without options, ports and flags of TCP. The minimum frame size pads UDP to this length.
const HEADERS: usize = 14 + 20 + 14;

#[inline(always)]
pub(crate) fn forward(context: *mut xdp_md) -> u32 {
    let action = carry(context).unwrap_or(XDP_PASS);
    tools::add(VERDICTS.get_ptr_mut(action & 3), 1, 0);
    action
}

/// Forwards a packet for a VIP; returns `None` for any other.
#[inline(always)]
fn carry(context: *mut xdp_md) -> Option<u32> {
    let memory = Memory::of(context);
    let h = memory.head::<HEADERS>()?;
    if [h[12], h[13], h[14]] != [8, 0, 0x45] || !matches!(h[23], 6 | 17) {
        return None;
    }
    let (config, state) = (CONFIG.get(0)?, STATE.get(0)?);
    let first = u64::from_le_bytes([h[0], h[1], h[2], h[3], h[4], h[5], 0, 0]);
    // Fragments are not handled.
    if first != config.uplink_links[0].mac_word() || u16::from_be_bytes([h[20], h[21]]) & 0x3fff != 0 {
        return None;
    }
    let number = u32::from(u16::from_be_bytes([h[32], h[33]]));
    let vip = VIPS.get(number)?;
    let destination = [h[30], h[31], h[32], h[33]];
    if vip.address != destination || vip.port != [h[36], h[37]] || vip.protocol != h[23] {
        return None;
    }
    let length = u64::from(u16::from_be_bytes([h[16], h[17]]));
    if length < 28 || 14 + length > tools::frame_len(context) || h[22] <= 1 {
        return Some(XDP_DROP);
    }
    let ports = FlowPorts { ports: [h[34], h[35], h[36], h[37]], protocol: h[23] };
    let hash = flow_hash_v4(&config.flow_keys, [h[26], h[27], h[28], h[29]], destination, ports);
    let slot = vip.ring + (hash as u32 & vip.mask);
    let word = LEADERS.get(slot / 4)? >> (slot % 4 * 16);
    let (leader, has_led) = (word as u16 & 0x7fff, word & 0x8000 != 0);
    tools::add(VIP_SUMS.get_ptr_mut(number), 1, length);
    let is_alive = (state.clock as u32).wrapping_sub(*LIVENESS.get(leader.into())?) < config.liveness_limit;
    let from_node = state.node_macs[usize::from(h[11] >> 6)] >> (h[11] & 63) & 1 != 0;
    if !is_alive || has_led || from_node {
        return Some(XDP_DROP);
    }
    let node = NODES.get(leader.into())?;
    decrement_ttl(h);
    h[..12].copy_from_slice(&node.macs);
    tools::add(NODE_SUMS.get_ptr_mut(leader.into()), 1, length);
    Some(out(context, node.ifindex))
}

/// Returns the checksum after the upper byte of a word was decremented: incremented, with the end-around
/// carry (RFC 1624).
#[inline(always)]
fn decrement_ttl(h: &mut [u8; HEADERS]) {
    h[22] -= 1;
    let sum = u32::from(u16::from_be_bytes([h[24], h[25]])) + 0x100;
    [h[24], h[25]] = ((sum + (sum >> 16)) as u16).to_be_bytes();
}

#[inline(always)]
fn out(context: *mut xdp_md, ifindex: u32) -> u32 {
    if tools::ingress(context) == ifindex { XDP_TX } else { tools::redirect(ifindex) }
}
