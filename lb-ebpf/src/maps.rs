//! The maps in the kernel, as [`Tables`].
#![allow(unsafe_code, reason = "map values are reached by pointers that the kernel hands out")]

use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray};
use aya_ebpf::helpers::{bpf_jiffies64, bpf_redirect};
use aya_ebpf::macros::btf_map;
use lb_common::maps::{Announcer, Config, EchoBudget, Link, Node, Traffic, Vip, Vip4Key, Vip6Key, capacity};
use lb_common::ring::{NodeIndex, Slot};
use lb_common::tables::Tables;

/// `BPF_F_MMAPABLE`: the agent writes slots through its own mapping, without a system call.
const MAPPED: usize = 1 << 10;

#[btf_map(name = "lb_vips4")]
static VIPS4: HashMap<Vip4Key, Vip, { capacity::VIPS }> = HashMap::new();
#[btf_map(name = "lb_vips6")]
static VIPS6: HashMap<Vip6Key, Vip, { capacity::VIPS }> = HashMap::new();
#[btf_map(name = "lb_rings")]
static RINGS: Array<Slot, { capacity::RINGS }, MAPPED> = Array::new();
#[btf_map(name = "lb_nodes")]
static NODES: Array<Node, { capacity::NODES }> = Array::new();
#[btf_map(name = "lb_peers")]
static PEERS: HashMap<[u8; 16], u32, { capacity::PEERS }> = HashMap::new();
#[btf_map(name = "lb_peer_macs")]
static PEER_MACS: HashMap<[u8; 8], u32, { capacity::PEERS }> = HashMap::new();
#[btf_map(name = "lb_arp")]
static ARP: HashMap<[u8; 4], Announcer, { capacity::ARP }> = HashMap::new();
#[btf_map(name = "lb_links")]
static LINKS: HashMap<u32, Link, { capacity::LINKS }> = HashMap::new();
#[btf_map(name = "lb_config")]
static CONFIG: Array<Config, 1> = Array::new();
#[btf_map(name = "lb_vip_stats")]
static VIP_STATS: PerCpuArray<Traffic, { capacity::VIP_STATS }> = PerCpuArray::new();
#[btf_map(name = "lb_node_stats")]
static NODE_STATS: PerCpuArray<Traffic, { capacity::NODES }> = PerCpuArray::new();
#[btf_map(name = "lb_refusals")]
static REFUSALS: PerCpuArray<u64, { capacity::REFUSALS }> = PerCpuArray::new();
#[btf_map(name = "lb_echo_budget")]
static ECHO_BUDGET: PerCpuArray<EchoBudget, 1> = PerCpuArray::new();

/// All maps of the program.
pub(crate) struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn vip4(&self, key: &Vip4Key) -> Option<&Vip> {
        // SAFETY: the agent replaces a value as a whole and deletes it only after nothing leads to it; a
        // value that is reused under a running program is one packet to another live node.
        unsafe { VIPS4.get(key) }
    }

    #[inline(always)]
    fn vip6(&self, key: &Vip6Key) -> Option<&Vip> {
        // SAFETY: as for `vip4`.
        unsafe { VIPS6.get(key) }
    }

    #[inline(always)]
    fn slot_order(&self, slot: u32) -> Option<u64> {
        let word = RINGS.get_ptr(slot)?.cast::<u64>();
        // SAFETY: a slot is 16 aligned bytes, so its first word is readable; the agent may store to it at
        // the same time, which one volatile 64-bit load sees before or after.
        Some(unsafe { word.read_volatile() })
    }

    #[inline(always)]
    fn node(&self, index: NodeIndex) -> Option<&Node> {
        NODES.get(u32::from(index))
    }

    #[inline(always)]
    fn is_peer_address(&self, address: &[u8; 16]) -> bool {
        PEERS.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn is_peer_mac(&self, mac: &[u8; 8]) -> bool {
        PEER_MACS.get_ptr(mac).is_some()
    }

    #[inline(always)]
    fn arp(&self, vip: &[u8; 4]) -> Option<&Announcer> {
        // SAFETY: as for `vip4`.
        unsafe { ARP.get(vip) }
    }

    #[inline(always)]
    fn link(&self, ifindex: u32) -> Option<&Link> {
        // SAFETY: as for `vip4`.
        unsafe { LINKS.get(ifindex) }
    }

    #[inline(always)]
    fn config(&self) -> Option<&Config> {
        CONFIG.get(0)
    }

    #[inline(always)]
    fn count_vip(&self, number: u32, bytes: u32) {
        add(VIP_STATS.get_ptr_mut(number), bytes);
    }

    #[inline(always)]
    fn count_node(&self, node: NodeIndex, bytes: u32) {
        add(NODE_STATS.get_ptr_mut(u32::from(node)), bytes);
    }

    #[inline(always)]
    fn echo_budget(&self, f: impl FnOnce(&mut EchoBudget) -> bool) -> bool {
        let Some(budget) = ECHO_BUDGET.get_ptr_mut(0) else { return false };
        // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
        f(unsafe { &mut *budget })
    }

    #[inline(always)]
    fn now_seconds(&self) -> u64 {
        // SAFETY: the helper takes nothing and reads the tick counter. 1,024 ticks stand in for a second:
        // at the usual 100 to 1,000 Hz a longer one, which makes a rate limit stricter, never looser.
        (unsafe { bpf_jiffies64() }) >> 10
    }
}

#[inline(always)]
fn add(traffic: Option<*mut Traffic>, bytes: u32) {
    if let Some(traffic) = traffic {
        // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
        let traffic = unsafe { &mut *traffic };
        traffic.packets += 1;
        traffic.bytes += u64::from(bytes);
    }
}

/// Counts what became of a packet.
#[inline(always)]
pub(crate) fn count(outcome: u32) {
    if let Some(counter) = REFUSALS.get_ptr_mut(outcome) {
        // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
        unsafe { *counter += 1 };
    }
}

/// The action that sends the frame out by another interface.
#[inline(always)]
pub(crate) fn redirect(ifindex: u32) -> u32 {
    // SAFETY: the helper notes the interface for this packet and checks it itself.
    (unsafe { bpf_redirect(ifindex, 0) }) as u32
}
