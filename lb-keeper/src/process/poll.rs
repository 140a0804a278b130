//! Waiting for descriptors.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::engine::{ConnectionId, StreamId};

/// What a descriptor belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Stop,
    Listener,
    Connection(ConnectionId),
    Stream(StreamId),
}

/// What the kernel reports of a descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    /// The other end is closed or reset.
    pub(super) is_ended: bool,
    pub(super) is_writable: bool,
}

/// Descriptors to wait for.
#[derive(Debug, Default)]
pub(super) struct PollSet<'a> {
    sources: Vec<Source>,
    descriptors: Vec<PollFd<'a>>,
}

impl<'a> PollSet<'a> {
    /// Waits for input, and for room if `writes`.
    pub(super) fn add(&mut self, source: Source, descriptor: BorrowedFd<'a>, writes: bool) {
        self.push(source, descriptor, PollFlags::POLLIN, writes);
    }

    /// Waits for the end of the peer's octets, unread ones before it notwithstanding, and for room if
    /// `writes`.
    pub(super) fn add_end(&mut self, source: Source, descriptor: BorrowedFd<'a>, writes: bool) {
        self.push(source, descriptor, PollFlags::from_bits_retain(libc::POLLRDHUP), writes);
    }

    fn push(&mut self, source: Source, descriptor: BorrowedFd<'a>, flags: PollFlags, writes: bool) {
        let flags = if writes { flags | PollFlags::POLLOUT } else { flags };
        self.sources.push(source);
        self.descriptors.push(PollFd::new(descriptor, flags));
    }

    /// Returns those with events; none after the timeout.
    pub(super) fn wait(mut self, timeout: Option<Duration>) -> io::Result<Vec<(Source, Readiness)>> {
        match poll(&mut self.descriptors, rounded_up(timeout)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = self.sources.into_iter().zip(&self.descriptors).filter_map(|(source, descriptor)| {
            // nix has no name for POLLRDHUP, and returns nothing if it is set.
            let Some(flags) = descriptor.revents() else {
                return Some((source, Readiness { is_ended: true, is_writable: false }));
            };
            let ends = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
            let is_writable = flags.contains(PollFlags::POLLOUT);
            (!flags.is_empty()).then(|| (source, Readiness { is_ended: flags.intersects(ends), is_writable }))
        });
        Ok(ready.collect())
    }
}

/// Milliseconds, rounded up: to wake up before the deadline would be to wake up several times.
fn rounded_up(timeout: Option<Duration>) -> PollTimeout {
    let Some(timeout) = timeout else { return PollTimeout::NONE };
    let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}
