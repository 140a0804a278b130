//! The program under a harness, to measure what a packet costs.
//!
//! The kernel's test runs feed a packet back in as the program has left it. So each run makes the packet
//! anew from a template, for another flow each time, has it judged, and takes back the move of its first
//! byte. `harness` does the same without judging: the difference is the program's.

#![feature(asm_experimental_arch)]
#![no_std]
#![no_main]
#![allow(missing_docs, unreachable_pub, reason = "the xdp attribute writes the exported function")]

mod entry;
mod frame;
mod kernel;
mod maps;
mod runtime;
mod step;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use lb_common::frame::Frame;

use crate::frame::XdpFrame;

/// Words of a packet that are made anew: no rewriting reaches behind them.
const TEMPLATE: usize = 12;

/// What a run varies.
#[repr(C)]
struct Plan {
    /// The packet's first bytes, as words: the compiler copies bytes one by one.
    template: [u64; TEMPLATE],
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
}

#[btf_map(name = "bench_plan")]
static PLAN: Array<Plan, 1> = Array::new();
#[btf_map(name = "bench_turn")]
static TURN: PerCpuArray<u32, 1> = PerCpuArray::new();

#[xdp(frags)]
pub fn judged(context: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(context.ctx);
    let Some(plan) = prepare(&mut frame) else { return XDP_ABORTED };
    let action = entry::judge(&mut frame);
    if plan.growth != 0 && !frame.move_head(plan.growth) {
        return XDP_ABORTED;
    }
    action
}

#[xdp(frags)]
pub fn harness(context: XdpContext) -> u32 {
    match prepare(&mut XdpFrame::new(context.ctx)) {
        Some(_) => XDP_PASS,
        None => XDP_ABORTED,
    }
}

/// Writes the packet of the next flow.
#[inline(always)]
fn prepare(frame: &mut XdpFrame) -> Option<&'static Plan> {
    let plan = PLAN.get(0)?;
    for (index, word) in plan.template.iter().enumerate() {
        *frame.view_mut::<8>(index * 8)? = word.to_ne_bytes();
    }
    let turn = scattered(next_turn()?, plan.turn_bits);
    let flow = turn & plan.flow_mask;
    let port = (plan.port + (flow >> 16)) as u16;
    let vip = ((u64::from(turn) * u64::from(plan.vips)) >> (plan.turn_bits & 31)) as u16;
    *frame.view_mut::<2>(plan.flow_at as usize)? = (flow as u16).to_be_bytes();
    *frame.view_mut::<2>(plan.port_at as usize)? = port.to_be_bytes();
    *frame.view_mut::<2>(plan.vip_at as usize)? = vip.to_be_bytes();
    Some(plan)
}

#[inline(always)]
#[allow(unsafe_code, reason = "map values are reached by pointers that the kernel hands out")]
fn next_turn() -> Option<u32> {
    let turn = TURN.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
    let turn = unsafe { &mut *turn };
    *turn = turn.wrapping_add(1);
    Some(*turn)
}

/// All numbers of so many bits in an order without neighbours, so that no prefetcher helps.
#[inline(always)]
const fn scattered(turn: u32, bits: u32) -> u32 {
    turn.wrapping_mul(0x9e37_79b1) & ((1 << (bits & 31)) - 1)
}
