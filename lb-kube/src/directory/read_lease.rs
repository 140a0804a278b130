//! Read leases (fcntl(2), "Leases"): they show whether a process has a file open for writing.
#![allow(unsafe_code, reason = "no crate wraps F_SETLEASE")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use libc::{F_RDLCK, F_SETLEASE, F_UNLCK, SIGURG, c_int};

use nix::sys::statfs::fstatfs;

/// asm-generic/fcntl.h; libc has it for other systems only.
const F_SETSIG: c_int = 10;
/// File systems that refuse a lease as if there were a writer when it is only their server that grants none: NFS, SMB
/// and CIFS (linux/magic.h).
const REMOTE: [u32; 3] = [0x6969, 0xfe53_4d42, 0xff53_4d42];

/// What the kernel says of the writers of a file.
#[derive(Debug)]
pub(super) enum Writers<'a> {
    /// There are none, and none can open the file while this is held.
    None(Lease<'a>),
    /// There is at least one.
    Some,
    /// It does not say: the file is another user's and CAP_LEASE is missing, or the file system knows no leases.
    Unknown,
}

/// A read lease. Who opens the file for writing waits until it is dropped.
#[derive(Debug)]
pub(super) struct Lease<'a>(&'a File);

/// Asks for a read lease on a file that is open for reading.
pub(super) fn take(file: &File) -> Writers<'_> {
    if fstatfs(file).is_ok_and(|it| REMOTE.contains(&(it.filesystem_type().0 as u32))) {
        return Writers::Unknown;
    }
    // A writer that has to wait is reported by a signal. That would be SIGIO, which ends a process; SIGURG does not.
    match fcntl(file, F_SETSIG, SIGURG).and_then(|()| fcntl(file, F_SETLEASE, F_RDLCK)) {
        Ok(()) => Writers::None(Lease(file)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Writers::Some,
        Err(_) => Writers::Unknown,
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // It ends with the descriptor in any case.
        let _ = fcntl(self.0, F_SETLEASE, F_UNLCK);
    }
}

fn fcntl(file: &File, command: c_int, argument: c_int) -> io::Result<()> {
    // SAFETY: these commands take an integer and touch no memory of the process.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
