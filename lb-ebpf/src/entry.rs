//! From a packet to an XDP action: the one place that counts a verdict and knows the actions.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX};
use lb_common::verdict::Fate;
use lb_pipeline::verdict::{Forward, Verdict};

use crate::calls;
use crate::frame::{XdpFrame, opaque};
use crate::maps::{self, Maps};

/// Processes a packet. Returns the XDP action.
#[inline(always)]
pub(crate) fn judge(frame: &mut XdpFrame) -> u32 {
    // The fast path is inline: a call would add a quarter to its cost.
    let verdict = match lb_pipeline::judge_fast(frame, &Maps) {
        Some(verdict) => verdict,
        None => calls::judge_slow(frame.context),
    };
    conclude(verdict)
}

/// Counts a verdict and returns its XDP action.
#[inline(always)]
fn conclude(verdict: Verdict) -> u32 {
    count(verdict).1
}

/// Counts a verdict and returns its number and its XDP action.
#[inline(always)]
pub(crate) fn count(verdict: Verdict) -> (u32, u32) {
    let (number, action) = match verdict {
        Ok(Forward::Pass(outcome)) => (outcome as u32, XDP_PASS),
        Ok(Forward::Transmit(outcome)) => (outcome as u32, XDP_TX),
        Ok(Forward::Consume(outcome)) => (outcome as u32, XDP_DROP),
        Ok(Forward::Redirect(outcome, ifindex)) => (outcome as u32, maps::redirect(ifindex)),
        // A step is taken before.
        Ok(Forward::Next(_)) => return (u32::MAX, XDP_ABORTED),
        Err(refusal) => match refusal.fate() {
            Fate::Pass => (refusal as u32, XDP_PASS),
            Fate::Drop => (refusal as u32, XDP_DROP),
        },
    };
    // Another program with the same maps, for tests of upgrades: one instruction that changes nothing.
    let number = if cfg!(feature = "other-program") { opaque(u64::from(number)) as u32 } else { number };
    maps::count(number);
    (number, action)
}
