//! Helpers and map types of the reference and the floor.
#![allow(
    unsafe_code,
    reason = "map values and the context are reached by pointers that the kernel hands out"
)]

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_redirect};

/// Packets and bytes, or two packet counts.
#[repr(C)]
pub(crate) struct Tally {
    packets: u64,
    bytes: u64,
}

/// Adds to the counter at an index of a map, if it exists.
#[inline(always)]
pub(crate) fn add(tally: Option<*mut Tally>, packets: u64, bytes: u64) {
    if let Some(tally) = value(tally) {
        tally.packets += packets;
        tally.bytes += bytes;
    }
}

/// Returns the value behind a map's pointer. The caller keeps no other reference to it.
#[inline(always)]
pub(crate) fn value<'a, T>(pointer: Option<*mut T>) -> Option<&'a mut T> {
    // SAFETY: the kernel keeps a map's values as long as the program runs. Those of maps per CPU are this
    // CPU's own, and an XDP program is not preempted by another one; those of the others are written before
    // it runs, or hold a server of a flow, where a change meanwhile is one packet to another server.
    pointer.map(|pointer| unsafe { &mut *pointer })
}

/// Returns the nanoseconds since boot.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}

/// Returns the number of readable bytes of the frame.
#[inline(always)]
pub(crate) fn frame_len(context: *mut xdp_md) -> u64 {
    // SAFETY: the kernel hands the program a valid context for as long as it runs.
    let data = unsafe { (*context).data };
    // SAFETY: as above.
    let data_end = unsafe { (*context).data_end };
    u64::from(data_end).wrapping_sub(data.into())
}

/// Returns the index of the ingress interface.
#[inline(always)]
pub(crate) fn ingress(context: *mut xdp_md) -> u32 {
    // SAFETY: as above.
    unsafe { (*context).ingress_ifindex }
}

/// Returns the action that sends the frame out of another interface.
#[inline(always)]
pub(crate) fn redirect(ifindex: u32) -> u32 {
    // SAFETY: the helper notes the interface for this packet and checks it itself.
    (unsafe { bpf_redirect(ifindex, 0) }) as u32
}
