//! The tracing program: the XDP program, and a record of each packet that a trace asks for.
//!
//! ```text
//! lb_trace_begin ── does the trace ask for such a packet, and is there any budget left?
//!   │ no, or only for verdicts of the slow path ─→ fast path ── declined ─┐
//!   │ yes                                                                 │
//!   └─→ lb_trace_save (the packet as it arrived) ─→ slow path ←───────────┘
//!                                                     └─→ lb_trace_end: verdict asked for? → ring buffer
//! ```
//!
//! A packet that is recorded takes the slow path, which has the same result as the fast path and leaves a
//! description. The agent attaches this program only while it traces: so the program without traces is
//! compiled without any of this.
#![allow(
    unsafe_code,
    reason = "a global function keeps its name, and map values are reached by pointers that the kernel hands out"
)]

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::btf_maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::helpers::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns, bpf_ringbuf_output, bpf_xdp_load_bytes};
use aya_ebpf::macros::btf_map;
use lb_common::maps::Config;
use lb_common::trace::{self, RECORD_BYTES, SNAP_MAX, TraceCount, TraceKey, TraceRecord, TraceSettings};
use lb_pipeline::frame::Frame;
use lb_pipeline::tables::Tables;

use crate::calls;
use crate::entry;
use crate::frame::{XdpFrame, opaque};
use crate::maps::{self, Maps};

#[btf_map(name = "lb_trace_want")]
static SETTINGS: Array<TraceSettings, 1> = Array::new();

/// One page: the agent chooses the size when it traces, and otherwise closes the map.
#[btf_map(name = "lb_trace")]
static RECORDS: RingBuf<(), 4096> = RingBuf::new();

#[btf_map(name = "lb_trace_rate")]
static BUDGET: Array<u64, 1> = Array::new();

#[btf_map(name = "lb_trace_count")]
static COUNTS: PerCpuArray<u64, { TraceCount::COUNT }> = PerCpuArray::new();

/// The record of the current packet, and its first bytes.
#[repr(C)]
struct Draft {
    record: TraceRecord,
    bytes: [u8; SNAP_MAX],
}

#[btf_map(name = "lb_trace_draft")]
static DRAFT: PerCpuArray<Draft, 1> = PerCpuArray::new();

/// `BPF_RB_NO_WAKEUP`: the agent reads the ring buffer at intervals.
const NO_WAKEUP: u64 = 1;

/// Answers of [`lb_trace_begin`].
mod wanted {
    /// The trace does not ask for such packets.
    pub(super) const NO: u32 = 0;
    /// The fast path first: it has no verdict that the trace asks for, or there is no budget.
    pub(super) const SLOW_ONLY: u32 = 1;
    /// Record it, whichever path would take it.
    pub(super) const YES: u32 = 2;
}

/// Processes a packet, and records it if a trace asks for it. Returns the XDP action.
#[inline(always)]
pub(crate) fn judge(frame: &mut XdpFrame) -> u32 {
    let wants = lb_trace_begin(frame.context);
    let fast = if wants == wanted::YES { None } else { lb_pipeline::judge_fast(frame, &Maps) };
    let verdict = match fast {
        Some(verdict) => verdict,
        None => {
            if wants != wanted::NO {
                lb_trace_save(frame.context);
            }
            calls::judge_slow(frame.context)
        }
    };
    let (number, action) = entry::count(verdict);
    if wants != wanted::NO {
        lb_trace_end(number);
    }
    action
}

/// Returns a number of [`wanted`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_trace_begin(context: *mut xdp_md) -> u32 {
    let Some(settings) = SETTINGS.get(0) else { return wanted::NO };
    let Some(draft) = draft() else { return wanted::NO };
    let key = &mut draft.record.key;
    lb_pipeline::read_trace_key(&XdpFrame::new(context), key);
    draft.record.captured = 0;
    if !settings.matches(key) {
        return wanted::NO;
    }
    // Behind the filter: reading the clock costs more.
    let now = coarse_now();
    if settings.until <= now {
        return wanted::NO;
    }
    let has_budget = budget().is_some_and(|due| trace::spend(load(due), now, settings.interval).is_some());
    let wants_fast = settings.verdicts & trace::FAST_VERDICTS != 0
        && (settings.verdicts & trace::NOT_OURS != 0
            || Maps.config().is_none_or(|config| may_be_vip(config, key)));
    if has_budget && wants_fast { wanted::YES } else { wanted::SLOW_ONLY }
}

/// Returns whether the destination may be a VIP: most packets for others need no record.
#[inline(always)]
fn may_be_vip(config: &Config, key: &TraceKey) -> bool {
    let [high, low] = key.destination;
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (high.to_ne_bytes(), low.to_ne_bytes());
    config.vips.may_hold4([m, n, o, p])
        || config.vips.may_hold6([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}

/// Saves the packet as it arrived, if there is budget to record it. Returns how many bytes.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_trace_save(context: *mut xdp_md) -> u32 {
    let (Some(settings), Some(draft)) = (SETTINGS.get(0), draft()) else { return 0 };
    if let Some(packet) = maps::packet() {
        packet.forget();
    }
    let frame = XdpFrame::new(context);
    let length = frame.total_len() as u32;
    draft.record.length = length;
    draft.record.ifindex = frame.ingress();
    let wanted = u64::from(length).min(settings.snap);
    if wanted == 0 {
        return 0;
    }
    let bytes = bounded(wanted);
    // SAFETY: the context is valid, and the buffer holds as many bytes.
    let failed = unsafe { bpf_xdp_load_bytes(context, 0, draft.bytes.as_mut_ptr().cast(), bytes) };
    if failed != 0 {
        return 0;
    }
    draft.record.captured = bytes;
    bytes
}

/// Counts a packet with a verdict that the trace asks for, and writes its record if it was saved. Returns
/// whether it did.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lb_trace_end(verdict: u32) -> u32 {
    let (Some(settings), Some(draft)) = (SETTINGS.get(0), draft()) else { return 0 };
    if settings.verdicts & trace::verdict_bit(verdict) == 0 {
        return 0;
    }
    count(TraceCount::Matched);
    let captured = draft.record.captured;
    if captured == 0 || !spend(settings) {
        return 0;
    }
    if let Some(packet) = maps::packet() {
        packet.describe(&mut draft.record);
    }
    draft.record.verdict = verdict;
    // SAFETY: the helper takes nothing and reads a clock.
    draft.record.time = unsafe { bpf_ktime_get_ns() };
    let (from, length) =
        ((&raw mut *draft).cast(), RECORD_BYTES as u64 + u64::from(bounded(captured.into())));
    // SAFETY: the draft holds as many bytes; the map is a ring buffer.
    let failed =
        unsafe { bpf_ringbuf_output((&raw const RECORDS).cast_mut().cast(), from, length, NO_WAKEUP) };
    if failed != 0 {
        count(TraceCount::Lost);
        return 0;
    }
    1
}

/// Returns a number of bytes from 1 to [`SNAP_MAX`], in a form that the verifier can follow.
#[inline(always)]
fn bounded(bytes: u64) -> u32 {
    let last = bytes.wrapping_sub(1).min(SNAP_MAX as u64 - 1);
    // Opaque, or the compiler drops the mask, which is all that the verifier sees.
    (opaque(last) & (SNAP_MAX as u64 - 1)) as u32 + 1
}

/// Takes a record from the budget. If another CPU takes one at the same time, this one gets none.
#[inline(always)]
fn spend(settings: &TraceSettings) -> bool {
    let Some(due) = budget() else { return false };
    let before = load(due);
    let Some(after) = trace::spend(before, coarse_now(), settings.interval) else { return false };
    let mut found = before;
    // The core library has no such operation for this target. SAFETY: the pointer is the map's, and the
    // instruction compares and exchanges one aligned 64-bit word.
    unsafe {
        asm!("r0 = cmpxchg_64({due} + 0, r0, {after})",
            inlateout("r0") found, due = in(reg) due, after = in(reg) after, options(nostack));
    }
    found == before
}

#[inline(always)]
fn budget() -> Option<*mut u64> {
    Some(BUDGET.get_ptr(0)?.cast_mut())
}

#[inline(always)]
fn load(due: *mut u64) -> u64 {
    // SAFETY: the pointer is the map's; a volatile load of 64 bits is one instruction.
    unsafe { due.read_volatile() }
}

#[inline(always)]
fn draft<'a>() -> Option<&'a mut Draft> {
    let draft = DRAFT.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
    Some(unsafe { &mut *draft })
}

#[inline(always)]
fn coarse_now() -> u64 {
    // SAFETY: the helper takes nothing and reads the clock as of the last tick.
    unsafe { bpf_ktime_get_coarse_ns() }
}

#[inline(always)]
fn count(counter: TraceCount) {
    if let Some(value) = COUNTS.get_ptr_mut(counter as u32) {
        // SAFETY: the value is this CPU's own, and an XDP program is not preempted by another one.
        unsafe { *value += 1 };
    }
}
