//! Read leases (fcntl(2), "Leases"), which show whether a process has a file open for writing.
#![allow(unsafe_code, reason = "no crate wraps F_SETLEASE")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use libc::{F_RDLCK, F_SETLEASE, F_UNLCK, SIGURG, c_int};

use nix::sys::statfs::fstatfs;

/// From asm-generic/fcntl.h; libc defines it for other systems only.
const F_SETSIG: c_int = 10;
/// Magic numbers of file systems that fail as if there were a writer if their server grants no lease: NFS,
/// SMB and CIFS (linux/magic.h).
const NETWORK_FILE_SYSTEMS: [u32; 3] = [0x6969, 0xfe53_4d42, 0xff53_4d42];

/// The writers of a file, according to the kernel.
#[derive(Debug)]
pub(super) enum Writers<'a> {
    /// None, and no process can open the file for writing while the lease is held.
    None(ReadLease<'a>),
    /// At least one.
    Some,
    /// Unknown: another user owns the file and CAP_LEASE is missing, or the file system does not support
    /// leases.
    Unknown,
}

/// A read lease. A process that opens the file for writing blocks until it is dropped.
#[derive(Debug)]
pub(super) struct ReadLease<'a>(&'a File);

/// Requests a read lease on a file that is open for reading.
pub(super) fn request(file: &File) -> Writers<'_> {
    if fstatfs(file).is_ok_and(|it| NETWORK_FILE_SYSTEMS.contains(&(it.filesystem_type().0 as u32))) {
        return Writers::Unknown;
    }
    // The kernel signals a waiting writer. The default, SIGIO, would terminate the process; SIGURG is
    // ignored.
    match fcntl(file, F_SETSIG, SIGURG).and_then(|()| fcntl(file, F_SETLEASE, F_RDLCK)) {
        Ok(()) => Writers::None(ReadLease(file)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Writers::Some,
        Err(_) => Writers::Unknown,
    }
}

impl Drop for ReadLease<'_> {
    fn drop(&mut self) {
        // Closing the descriptor releases it in any case.
        let _ = fcntl(self.0, F_SETLEASE, F_UNLCK);
    }
}

fn fcntl(file: &File, command: c_int, argument: c_int) -> io::Result<()> {
    // SAFETY: these commands take an integer and touch no memory of the process.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
