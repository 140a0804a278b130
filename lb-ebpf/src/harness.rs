//! The packet of each benchmark run, rebuilt from a template.
//!
//! The kernel's test runs pass the packet to the next run as the program left it. So each run rebuilds the
//! packet, for another flow each time, and undoes the move of its first byte.
#![allow(
    unsafe_code,
    reason = "packet memory and map values are reached by pointers; every access is checked here"
)]

use core::arch::asm;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::helpers::bpf_xdp_adjust_head;
use aya_ebpf::macros::btf_map;

/// Words that are rewritten in every packet: Ethernet, IPv4 and TCP without options.
const HEAD: usize = 7;
/// Words after them that are rewritten unless the packet is small: the program changes none further on.
const REST: usize = 5;

/// The template, and how runs vary it.
#[repr(C)]
pub(crate) struct Plan {
    /// The packet's first bytes, as words: the compiler copies bytes one by one.
    head: [u64; HEAD],
    rest: [u64; REST],
    /// Number of flows, a power of two, minus one.
    flow_mask: u32,
    /// Number of VIPs, up to 65,536.
    vips: u32,
    /// Offset of the last two bytes of the source address, the lower bits of the flow's number.
    flow_at: u32,
    /// Offset of the source port, to which the upper bits of the flow's number are added.
    port_at: u32,
    /// Source port of the first flows.
    port: u32,
    /// Offset of the last two bytes of the destination address, which number the VIP.
    vip_at: u32,
    /// Bytes that the program adds to the packet; negative if it removes some.
    growth: i32,
    /// Binary logarithm of the number of packets before the first is repeated.
    turn_bits: u32,
    /// 1 if the packet is small, else 0.
    small: u32,
    /// Zero.
    pad: u32,
}

#[btf_map(name = "bench_plan")]
static PLAN: Array<Plan, 1> = Array::new();
#[btf_map(name = "bench_turn")]
static TURN: PerCpuArray<u32, 1> = PerCpuArray::new();

/// Builds the packet of the next flow; returns false if it cannot.
#[inline(always)]
pub(crate) fn begin(context: *mut xdp_md) -> bool {
    prepare(context).is_some()
}

/// Undoes the move of the packet's first byte. The plan is looked up again: keeping it would take stack, of
/// which the program leaves little.
#[inline(always)]
pub(crate) fn end(context: *mut xdp_md, action: u32) -> u32 {
    let Some(Plan { growth, .. }) = PLAN.get(0) else { return XDP_ABORTED };
    if *growth != 0 && !move_head(context, *growth) {
        return XDP_ABORTED;
    }
    action
}

/// Builds the packet of the next flow only: the cost of the harness.
#[inline(always)]
pub(crate) fn alone(context: *mut xdp_md) -> u32 {
    if begin(context) { XDP_PASS } else { XDP_ABORTED }
}

#[inline(always)]
fn prepare(context: *mut xdp_md) -> Option<()> {
    let plan = PLAN.get(0)?;
    let memory = Memory::of(context);
    write(&plan.head, memory.head::<{ HEAD * 8 }>()?);
    if plan.small == 0 {
        let packet = memory.head::<{ (HEAD + REST) * 8 }>()?;
        write(&plan.rest, packet.last_chunk_mut::<{ REST * 8 }>()?);
    }
    let turn = scattered(next_turn()?, plan.turn_bits);
    let flow = turn & plan.flow_mask;
    let port = (plan.port + (flow >> 16)) as u16;
    let vip = ((u64::from(turn) * u64::from(plan.vips)) >> (plan.turn_bits & 31)) as u16;
    *memory.field(plan.flow_at)? = (flow as u16).to_be_bytes();
    *memory.field(plan.port_at)? = port.to_be_bytes();
    *memory.field(plan.vip_at)? = vip.to_be_bytes();
    Some(())
}

#[inline(always)]
fn write<const WORDS: usize, const BYTES: usize>(template: &[u64; WORDS], packet: &mut [u8; BYTES]) {
    for (word, bytes) in template.iter().zip(packet.as_chunks_mut::<8>().0) {
        *bytes = word.to_ne_bytes();
    }
}

#[inline(always)]
fn next_turn() -> Option<u32> {
    let turn = TURN.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
    let turn = unsafe { &mut *turn };
    *turn = turn.wrapping_add(1);
    Some(*turn)
}

/// Returns all numbers of `bits` bits in an order that no prefetcher predicts.
#[inline(always)]
const fn scattered(turn: u32, bits: u32) -> u32 {
    turn.wrapping_mul(0x9e37_79b1) & ((1 << (bits & 31)) - 1)
}

/// Moves the packet's first byte, which invalidates every earlier [`Memory`].
#[inline(always)]
pub(crate) fn move_head(context: *mut xdp_md, delta: i32) -> bool {
    // SAFETY: the kernel hands the program a valid context for as long as it runs.
    unsafe { bpf_xdp_adjust_head(context, delta) == 0 }
}

/// The packet's bytes, until its first byte moves.
pub(crate) struct Memory {
    first: *mut u8,
    end: *mut u8,
}

impl Memory {
    #[inline(always)]
    pub(crate) fn of(context: *mut xdp_md) -> Self {
        // SAFETY: the kernel hands the program a valid context for as long as it runs.
        let data = unsafe { (*context).data };
        // SAFETY: as above.
        let data_end = unsafe { (*context).data_end };
        Self { first: data as usize as *mut u8, end: data_end as usize as *mut u8 }
    }

    /// Returns the first `N` bytes. The caller keeps no two views of them at once.
    #[inline(always)]
    pub(crate) fn head<'a, const N: usize>(&self) -> Option<&'a mut [u8; N]> {
        if self.first.wrapping_add(N) > self.end {
            return None;
        }
        // SAFETY: all N bytes lie between data and data_end; an array of bytes has no alignment.
        Some(unsafe { &mut *self.first.cast() })
    }

    /// Returns two bytes at an offset that is known only at run time.
    #[inline(always)]
    fn field<'a>(&self, at: u32) -> Option<&'a mut [u8; 2]> {
        let mut at = u64::from(at);
        // Otherwise the compiler compares one sum with the end of the packet and uses another, equal one,
        // which the verifier considers unchecked. SAFETY: a register moved onto itself.
        unsafe { asm!("{0} = {0}", inout(reg) at, options(pure, nomem, nostack, preserves_flags)) };
        if at > 127 {
            return None;
        }
        let first = self.first.wrapping_add(at as usize);
        if first.wrapping_add(2) > self.end {
            return None;
        }
        // SAFETY: both bytes lie between data and data_end.
        Some(unsafe { &mut *first.cast() })
    }
}
