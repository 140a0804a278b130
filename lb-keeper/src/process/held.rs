//! A held stream: duplicates of its socket and its journal.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::SockRef;

use super::super::engine::{Reason, Terms};
use super::super::journal::Journal;
use super::super::message::KeeperMessage;
use super::super::position;
use super::super::stream::{Stream, StreamTerms};

/// Octets of one write.
const CHUNK: u64 = 64 * 1024;
/// Chunks that are discarded before others have their turn.
const CHUNKS_PER_TURN: usize = 16;

/// A held stream.
#[derive(Debug)]
pub(super) struct HeldStream {
    name: String,
    terms: StreamTerms,
    socket: OwnedFd,
    journal: Journal,
}

impl HeldStream {
    /// Checks what an agent has sent.
    ///
    /// # Errors
    /// With the reason why it cannot be held.
    pub(super) fn new(name: &str, terms: StreamTerms, descriptors: Vec<OwnedFd>) -> Result<Self, String> {
        if name.is_empty() || name.len() > Stream::MAX_NAME || !terms.is_bounded() {
            return Err("its name or terms are empty or too long".to_owned());
        }
        let [socket, journal]: [OwnedFd; 2] =
            descriptors.try_into().map_err(|_| "socket or journal is missing".to_owned())?;
        let journal = Journal::open(journal).map_err(|error| error.to_string())?;
        let written =
            position::written(&socket).map_err(|error| format!("cannot read its position: {error}"))?;
        journal.unsent_up_to(written, 0).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), terms, socket, journal })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn engine_terms(&self) -> Terms {
        Terms { keepalive: self.terms.keepalive, restartable: self.terms.restartable }
    }

    pub(super) fn claimed_message(&self) -> KeeperMessage {
        KeeperMessage::Claimed { name: self.name.clone(), terms: self.terms.clone() }
    }

    /// Returns socket and journal for an agent.
    pub(super) fn duplicates(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(vec![self.socket.try_clone()?, self.journal.file().try_clone_to_owned()?])
    }

    /// Fences the former holder.
    pub(super) fn take_over(&mut self) -> Result<(), String> {
        tracing::info!(stream = self.name, "took over a stream");
        self.journal.fence().map_err(|error| error.to_string())
    }

    pub(super) fn append_keepalive(&mut self) -> Result<(), String> {
        let octets = std::mem::take(&mut self.terms.keepalive_octets);
        let appended = self.append(&octets);
        self.terms.keepalive_octets = octets;
        appended
    }

    pub(super) fn append_farewell(&mut self, reason: &Reason) -> Result<(), String> {
        tracing::info!(stream = self.name, %reason, "ending a stream");
        let octets = std::mem::take(&mut self.terms.farewell);
        self.append(&octets)
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), String> {
        // The last append of the former holder may have ended after the fence.
        self.journal.refresh().and_then(|()| self.journal.append(octets)).map_err(|error| error.to_string())
    }

    /// Writes what the socket does not have yet; returns whether it accepted everything.
    pub(super) fn write(&mut self) -> Result<bool, String> {
        self.journal.refresh().map_err(|error| error.to_string())?;
        loop {
            let written = position::written(&self.socket).map_err(|error| error.to_string())?;
            let rest = self.journal.unsent_up_to(written, CHUNK).map_err(|error| error.to_string())?;
            if rest.is_empty() {
                return Ok(true);
            }
            // The agent may have made the socket a blocking one or not.
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.socket.as_raw_fd(), &rest, flags) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(false),
                Err(error) => return Err(format!("cannot write: {error}")),
            }
        }
    }

    /// Shuts down the write side.
    pub(super) fn shut_down(&mut self) -> Result<(), String> {
        let shut_down = SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write);
        shut_down.map_err(|error| format!("cannot shut down the write side: {error}"))
    }

    /// Discards what the peer has sent: closing with unread octets would make the kernel discard the
    /// farewell. Returns whether the peer has closed.
    pub(super) fn discard_input(&self) -> bool {
        let mut buffer = vec![0; CHUNK as usize];
        for _ in 0..CHUNKS_PER_TURN {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return true,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return false,
                Err(_) => return true,
            }
        }
        false
    }
}

impl AsFd for HeldStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
