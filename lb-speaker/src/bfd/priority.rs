//! Precedence over the machine's other work.
#![allow(unsafe_code, reason = "no crate in use sets a scheduling policy")]

use std::io;

/// Runs this thread before all that is not real-time. It sleeps nearly always, so nobody goes short by it.
///
/// # Errors
/// Without CAP_SYS_NICE, as a rule.
pub(super) fn raise_priority() -> io::Result<()> {
    // The kernel's `struct sched_param`. The call goes to the kernel itself: musl's function of that name refuses always.
    let lowest: libc::c_int = 1;
    // SAFETY: the kernel reads `lowest`, which lives until the call is over; 0 is this thread.
    let outcome =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_RR, &raw const lowest) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
