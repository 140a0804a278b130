//! What `bench packet` holds the program against, each under the harness: a load balancer as the well-known ones are
//! made ([`maglev`]), and the least program that does what forwarding by MAC address does ([`floor`]).

#![feature(asm_experimental_arch)]
#![no_std]
#![no_main]
#![allow(missing_docs, unreachable_pub, reason = "the xdp attribute writes the exported function")]

mod floor;
mod harness;
mod maglev;
mod runtime;
mod tally;

use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

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
