//! The programs that `bench packet` compares with, each under the harness: a load balancer of the well-known
//! design ([`maglev`]), and the smallest program that forwards by MAC rewrite ([`floor`]).

#![feature(asm_experimental_arch)]
#![no_std]
#![no_main]
#![allow(missing_docs, unreachable_pub, reason = "the xdp attribute writes the exported function")]

mod floor;
mod harness;
mod maglev;
mod runtime;
mod tools;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_TX};
use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;

use crate::tools::Tally;

#[btf_map(name = "bench_arrived")]
static ARRIVED: PerCpuArray<Tally, 1> = PerCpuArray::new();

#[xdp(frags)]
#[inline(always)]
pub fn reference(context: XdpContext) -> u32 {
    if !harness::begin(context.ctx) {
        return XDP_ABORTED;
    }
    let action = maglev::forward(context.ctx);
    harness::end(context.ctx, action)
}

#[xdp(frags)]
#[inline(always)]
pub fn least(context: XdpContext) -> u32 {
    if !harness::begin(context.ctx) {
        return XDP_ABORTED;
    }
    let action = floor::forward(context.ctx);
    harness::end(context.ctx, action)
}

#[xdp(frags)]
#[inline(always)]
pub fn harness(context: XdpContext) -> u32 {
    harness::alone(context.ctx)
}

/// Sends every packet back: the minimum cost of live frames.
#[xdp(frags)]
#[inline(always)]
pub fn bounce(context: XdpContext) -> u32 {
    if harness::begin(context.ctx) { XDP_TX } else { XDP_ABORTED }
}

/// The far end of a veth: counts what arrives.
#[xdp(frags)]
#[inline(always)]
pub fn sink(_context: XdpContext) -> u32 {
    tools::add(ARRIVED.get_ptr_mut(0), 1, 0);
    XDP_DROP
}
