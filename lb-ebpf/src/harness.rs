//! The packet of each run of a benchmark, made anew from a template.
//!
//! The kernel's test runs feed a packet back in as the program has left it. So each run makes the packet
//! anew, for another flow each time, and takes back the move of its first byte.
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

/// Words of every packet that are made anew: Ethernet, IPv4 and TCP without options.
const HEAD: usize = 7;
/// Words behind them, where the packet is no small one: no rewriting reaches behind these.
const REST: usize = 5;

/// What a run varies.
#[repr(C)]
pub(crate) struct Plan {
    /// The packet's first bytes, as words: the compiler copies bytes one by one.
    head: [u64; HEAD],
    rest: [u64; REST],
    /// Number of flows minus one; the number is a power of two.
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
    /// Bytes by which the program lengthens the packet; negative where it cuts.
    growth: i32,
    /// As many packets come before the first comes again: two to the power of this.
    turn_bits: u32,
    /// The packet is a small one: zero or one.
    small: u32,
    /// Zero.
    pad: u32,
}

#[btf_map(name = "bench_plan")]
static PLAN: Array<Plan, 1> = Array::new();
#[btf_map(name = "bench_turn")]
static TURN: PerCpuArray<u32, 1> = PerCpuArray::new();

/// Makes the packet of the next flow; false where it cannot.
#[inline(always)]
pub(crate) fn begin(context: *mut xdp_md) -> bool {
    prepare(context).is_some()
}

/// Takes back the move of the packet's first byte. The plan is looked up again: kept meanwhile it would take
/// up stack, of which the program leaves little.
#[inline(always)]
pub(crate) fn end(context: *mut xdp_md, action: u32) -> u32 {
    let Some(Plan { growth, .. }) = PLAN.get(0) else { return XDP_ABORTED };
    if *growth != 0 && !move_head(context, *growth) {
        return XDP_ABORTED;
    }
    action
}

/// Makes the packet of the next flow, and nothing else.
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

/// All numbers of so many bits in an order without neighbors, so that no prefetcher helps.
#[inline(always)]
const fn scattered(turn: u32, bits: u32) -> u32 {
    turn.wrapping_mul(0x9e37_79b1) & ((1 << (bits & 31)) - 1)
}

/// Moves the packet's first byte; every [`Memory`] from before is void.
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

    /// The first `N` bytes. The caller lets no view of them live beside another one.
    #[inline(always)]
    pub(crate) fn head<'a, const N: usize>(&self) -> Option<&'a mut [u8; N]> {
        if self.first.wrapping_add(N) > self.end {
            return None;
        }
        // SAFETY: all N bytes lie between data and data_end; an array of bytes has no alignment.
        Some(unsafe { &mut *self.first.cast() })
    }

    /// Two bytes at an offset that only the plan knows.
    #[inline(always)]
    fn field<'a>(&self, at: u32) -> Option<&'a mut [u8; 2]> {
        let mut at = u64::from(at);
        // Else the compiler would check one sum against the end of the packet and use another, equal one,
        // which the verifier has not seen checked. SAFETY: a register moved onto itself.
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
