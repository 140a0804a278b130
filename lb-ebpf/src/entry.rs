//! From a packet to an XDP action: where an outcome is translated, and nowhere else.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use lb_common::pipeline;
use lb_common::verdict::{Fate, Forward, Refusal};

use crate::frame::XdpFrame;
use crate::maps::{self, Maps};
use crate::step;

/// Judges a packet, counts what became of it, and tells the driver.
#[inline(always)]
pub(crate) fn judge(frame: &mut XdpFrame) -> u32 {
    // The fast path is inline: a call would add a quarter to its cost.
    match pipeline::judge_fast(frame, &Maps) {
        Some(judgement) => conclude(judgement),
        None => step::take_all(frame.context),
    }
}

/// Counts what became of a packet, and tells the driver.
#[inline(always)]
pub(crate) fn conclude(judgement: Result<Forward, Refusal>) -> u32 {
    let (number, action) = match judgement {
        Ok(Forward::Served(action)) => return action,
        Ok(Forward::Pass(outcome)) => (outcome as u32, XDP_PASS),
        Ok(Forward::Transmit(outcome)) => (outcome as u32, XDP_TX),
        Ok(Forward::Consume(outcome)) => (outcome as u32, XDP_DROP),
        Ok(Forward::Redirect(outcome, ifindex)) => (outcome as u32, maps::redirect(ifindex)),
        Err(refusal) => match refusal.fate() {
            Fate::Pass => (refusal as u32, XDP_PASS),
            Fate::Drop => (refusal as u32, XDP_DROP),
        },
    };
    maps::count(number);
    action
}
