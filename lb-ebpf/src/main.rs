//! Fairlead's XDP program: one packet in, one XDP action out.
//!
//! A packet takes the path of [`lb_pipeline`], the same code that runs on the host. This crate ties it to the
//! kernel: the packet's memory ([`frame`]), the maps ([`maps`]), the subprograms ([`calls`]), the question
//! whether the kernel has a connection ([`kernel`]), and the translation of a verdict into an XDP action
//! ([`entry`]). A second program writes records of packets as well ([`trace`]).

#![feature(asm_experimental_arch)]
#![no_std]
#![no_main]
#![allow(missing_docs, unreachable_pub, reason = "the xdp attribute writes the exported function")]

mod calls;
mod entry;
mod frame;
mod kernel;
mod maps;
mod runtime;
mod trace;

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS, XDP_REDIRECT};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::frame::XdpFrame;

/// The program on an uplink. `frags`: jumbo frames may lie in several buffers; headers are in the first.
#[xdp(frags)]
#[inline(always)]
pub fn fairlead(context: XdpContext) -> u32 {
    entry::judge(&mut XdpFrame::new(context.ctx))
}

/// The same with records of packets, on the uplinks while the agent traces.
#[xdp(frags)]
#[inline(always)]
pub fn fairlead_trace(context: XdpContext) -> u32 {
    trace::judge(&mut XdpFrame::new(context.ctx))
}

/// The floor under an empty program: what `bench packet` measures everything else against.
#[xdp(frags)]
pub fn nothing(_context: XdpContext) -> u32 {
    XDP_PASS
}

/// The question to the kernel alone, about the packet that `lb_packet` describes; its answer instead of an
/// action. The agent loads it to find out whether this kernel lets the program ask.
#[xdp(frags)]
pub fn asks(context: XdpContext) -> u32 {
    kernel::lb_ask_kernel(context.ctx)
}

const _: () = assert!(XDP_ABORTED == 0 && XDP_REDIRECT == 4);
