//! Real-time scheduling of the BFD thread.
#![allow(unsafe_code, reason = "no crate in use sets a scheduling policy")]

use std::io;

/// Schedules this thread before all normal threads. It sleeps nearly always, so it starves none of them.
///
/// # Errors
/// Typically without CAP_SYS_NICE.
pub(super) fn raise_priority() -> io::Result<()> {
    // The kernel's `struct sched_param`. A direct system call: musl's function of that name always fails.
    let lowest: libc::c_int = 1;
    // SAFETY: the kernel reads `lowest`, which outlives the call; 0 is this thread.
    let outcome =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_RR, &raw const lowest) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
