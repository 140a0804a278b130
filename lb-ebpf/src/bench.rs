//! The program under the harness, to measure the cost of a packet; the cost of `harness` alone is subtracted.

#![feature(asm_experimental_arch)]
#![no_std]
#![no_main]
#![allow(missing_docs, unreachable_pub, reason = "the xdp attribute writes the exported function")]

mod calls;
mod entry;
mod frame;
mod harness;
mod kernel;
mod maps;
mod runtime;
mod trace;

use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::frame::XdpFrame;

#[xdp(frags)]
#[inline(always)]
pub fn judged(context: XdpContext) -> u32 {
    if !harness::begin(context.ctx) {
        return XDP_ABORTED;
    }
    let action = entry::judge(&mut XdpFrame::new(context.ctx));
    harness::end(context.ctx, action)
}

/// The tracing program.
#[xdp(frags)]
#[inline(always)]
pub fn traced(context: XdpContext) -> u32 {
    if !harness::begin(context.ctx) {
        return XDP_ABORTED;
    }
    let action = trace::judge(&mut XdpFrame::new(context.ctx));
    harness::end(context.ctx, action)
}

#[xdp(frags)]
#[inline(always)]
pub fn harness(context: XdpContext) -> u32 {
    harness::alone(context.ctx)
}
