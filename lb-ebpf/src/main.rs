//! Fairlead's XDP program: one packet in, one XDP action out.
//!
//! The way of a packet is [`lb_common::pipeline`], the same code that runs on the host. Here stand its
//! three ties to the kernel: the packet's memory ([`frame`]), the maps ([`maps`]), and the translation of
//! an outcome into an action, below and nowhere else.

#![no_std]
#![no_main]
#![allow(missing_docs, unreachable_pub, reason = "the xdp attribute writes the exported function")]

mod frame;
mod maps;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_REDIRECT, XDP_TX};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_common::pipeline;
use lb_common::verdict::{Fate, Forward, Refusal};

use crate::frame::XdpFrame;
use crate::maps::Maps;

/// The program on an uplink. `frags`: jumbo frames may lie in several buffers; headers are in the first.
#[xdp(frags)]
pub fn fairlead(context: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(context.ctx);
    let judgement = pipeline::judge(&mut frame, &Maps);
    maps::count(match judgement {
        Ok(forward) => forward.outcome() as u32,
        Err(refusal) => refusal as u32,
    });
    action(judgement)
}

#[inline(always)]
fn action(judgement: Result<Forward, Refusal>) -> u32 {
    match judgement {
        Ok(Forward::Pass(_)) => XDP_PASS,
        Ok(Forward::Transmit(_)) => XDP_TX,
        Ok(Forward::Redirect(_, ifindex)) => maps::redirect(ifindex),
        Err(refusal) => match refusal.fate() {
            Fate::Pass => XDP_PASS,
            Fate::Drop => XDP_DROP,
        },
    }
}

/// The floor under an empty program: what `bench packet` measures everything else against.
#[xdp(frags)]
pub fn nothing(_context: XdpContext) -> u32 {
    XDP_PASS
}

const _: () = assert!(XDP_ABORTED == 0 && XDP_REDIRECT == 4);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel knows a few licence words by heart; of "Apache-2.0 OR GPL-2.0-only" this is the one that lets
/// the program call GPL helpers.
#[allow(unsafe_code, reason = "the loader finds the licence by the section's name")]
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 4] = *b"GPL\0";
