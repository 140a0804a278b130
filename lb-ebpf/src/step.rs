//! The steps of the slow path, one after the other.
//!
//! Functions of a BPF program that call each other share 512 bytes of stack, and before Linux 6.9 each takes a multiple of
//! 32. So a function that is done but for what another is to do does not call that one: it returns its number here, and
//! the program, whose own frame is the fast path's, calls it.
//!
//! ```text
//! fairlead ─┬─ lb_judge ── reads the packet, finds the node; calls what it needs an answer of
//!           ├─ lb_serve ── owns the flow or passes the packet on
//!           └─ lb_complain, lb_judge_echo, lb_judge_probe, lb_judge_bfd
//! ```

use aya_ebpf::bindings::xdp_md;
use lb_common::verdict::Refusal;

use crate::frame::{lb_complain, lb_judge, lb_judge_bfd, lb_judge_echo, lb_judge_probe, lb_serve};

/// No number below is an XDP action.
const FIRST: u32 = 0x100;
/// [`lb_serve`] comes next.
pub(crate) const SERVE: u32 = FIRST;
/// [`lb_judge_echo`] comes next.
pub(crate) const ECHO: u32 = FIRST + 1;
/// [`lb_judge_probe`] comes next, with an answer.
pub(crate) const PROBE_ANSWER: u32 = FIRST + 2;
/// [`lb_judge_probe`] comes next, with a probe.
pub(crate) const PROBE: u32 = FIRST + 3;
/// [`lb_judge_bfd`] comes next.
pub(crate) const BFD: u32 = FIRST + 4;
/// [`lb_complain`] comes next, with the refusal whose number is added.
const COMPLAIN: u32 = FIRST << 1;

/// The step in which the sender is told of a refusal.
#[inline(always)]
pub(crate) const fn complain(refusal: Refusal) -> u32 {
    COMPLAIN + refusal as u32
}

/// Takes all steps of a packet. Returns the XDP action.
#[inline(always)]
pub(crate) fn take_all(context: *mut xdp_md) -> u32 {
    let mut next = lb_judge(context);
    if next == SERVE {
        next = lb_serve(context);
    }
    if next < FIRST {
        return next;
    }
    match next {
        ECHO => lb_judge_echo(context),
        PROBE_ANSWER => lb_judge_probe(context, 0),
        PROBE => lb_judge_probe(context, 1),
        BFD => lb_judge_bfd(context),
        _ => lb_complain(context, next.wrapping_sub(COMPLAIN)),
    }
}
