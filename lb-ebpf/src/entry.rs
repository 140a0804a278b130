//! From a packet to an XDP action: where an outcome is translated, and nowhere else.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use lb_common::pipeline;
use lb_common::verdict::{Fate, Forward, Refusal};

use crate::frame::XdpFrame;
use crate::maps::{self, Maps};

/// Judges a packet, counts what became of it, and tells the driver.
#[inline(always)]
pub(crate) fn judge(frame: &mut XdpFrame) -> u32 {
    let judgement = pipeline::judge(frame, &Maps);
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
