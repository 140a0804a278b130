//! Counters of packets and bytes, per CPU.
#![allow(unsafe_code, reason = "map values are reached by pointers that the kernel hands out")]

/// Packets and bytes, or two numbers of packets.
#[repr(C)]
pub(crate) struct Tally {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// Adds to the counter at `at`, if there is one.
#[inline(always)]
pub(crate) fn add(at: Option<*mut Tally>, packets: u64, bytes: u64) {
    let Some(tally) = at else { return };
    // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
    let tally = unsafe { &mut *tally };
    tally.packets += packets;
    tally.bytes += bytes;
}
