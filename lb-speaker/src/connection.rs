//! A TCP connection with buffered output: at most one chunk from the session.
//!
//! What is sent is appended to a journal first, and what is received leaves the socket only after it has been
//! handled. So another process that has socket and journal can continue at any moment.

use std::future::pending;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use futures::FutureExt;
use lb_bgp::session::Handover;
use lb_keeper::journal::{Journal, JournalError};
use lb_keeper::{KeeperClient, position};
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::kept_session::{KeptIdentity, KeptSession};

/// Maximum time for closing: a peer that reads nothing must not delay us.
const MAX_CLOSE_TIME: Duration = Duration::from_secs(2);
/// Size of the read buffer: more than the longest message, which is handled as a whole (RFC 8654).
const READ: usize = 80 * 1024;

/// A connection in use.
#[derive(Debug)]
pub(super) struct BgpConnection {
    stream: TcpStream,
    unsent: Vec<u8>,
    /// Octets of `unsent` that are in the kernel.
    sent: usize,
    /// The record of the session, while the keeper holds a duplicate of the connection.
    pub(super) kept: Option<KeptSession>,
    /// The journal has failed: the session is not kept.
    pub(super) is_unkeepable: bool,
}

/// The result of a read.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// There are so many octets.
    Octets(usize),
    /// Nothing to read.
    Nothing,
    /// The connection is lost.
    Lost(ConnectionLoss),
}

/// How a connection was lost.
#[derive(Debug)]
pub(super) enum ConnectionLoss {
    /// The peer has closed it, or the kernel reports an error.
    Closed(Option<io::Error>),
    /// Another process has taken it over: nothing may be read or written.
    TakenOver,
}

impl BgpConnection {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self { stream, unsent: Vec::new(), sent: 0, kept: None, is_unkeepable: false }
    }

    /// Returns the connection of another process, which has not written `unsent`.
    pub(super) fn adopted(stream: TcpStream, unsent: Vec<u8>) -> Self {
        Self { unsent, ..Self::new(stream) }
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Gives the session to the keeper, unless it has it as it is. `snapshot` describes what was sent.
    ///
    /// # Errors
    /// If another process has taken the session over, or it cannot be kept.
    pub(super) fn keep(
        &mut self,
        keeper: &KeeperClient,
        identity: KeptIdentity<'_>,
        handover: Handover,
        snapshot: impl Fn() -> Vec<u8>,
    ) -> Result<(), JournalError> {
        if self.check_fence().is_err() {
            return Err(JournalError::Fenced);
        }
        let kept = match self.kept.take() {
            Some(kept) => kept,
            None => KeptSession::new(self.journal(&snapshot())?, handover.session.lasted)?,
        };
        let kept = self.kept.insert(kept);
        if let Some(stream) = kept.changed(&self.stream, identity, handover)? {
            keeper.hold(stream);
        }
        if kept.is_long() {
            let journal = self.journal(&snapshot())?;
            let Some(kept) = &mut self.kept else { return Ok(()) };
            // If there is no room, at the next opportunity.
            if let Some(stream) = kept.stream(&self.stream, identity, &journal)?
                && keeper.try_hold(stream)
            {
                kept.journal = journal;
            }
        }
        Ok(())
    }

    /// Returns a journal that begins with the octets that are not in the kernel. The snapshot includes them:
    /// to apply them again changes nothing.
    fn journal(&self, snapshot: &[u8]) -> Result<Journal, JournalError> {
        let base = position::written(&self.stream)?.wrapping_sub(self.sent as u64);
        let mut journal = Journal::create(base, snapshot)?;
        journal.append(&self.unsent)?;
        Ok(journal)
    }

    /// Returns a buffer for [`read`](Self::read) and [`peek`](Self::peek).
    pub(super) fn buffer() -> Vec<u8> {
        vec![0; READ]
    }

    /// Waits until the connection is readable, or writable with unsent octets. Cancel-safe.
    pub(super) async fn ready(&self) {
        let writable = async { if self.is_idle() { pending().await } else { self.stream.writable().await } };
        // An error shows in the next read or write.
        tokio::select! {
            _ = self.stream.readable() => {}
            _ = writable => {}
        }
    }

    /// Copies what is available, and leaves it in the socket. `complete` returns how many octets of it are
    /// whole messages.
    pub(super) fn peek(&self, buffer: &mut [u8], complete: impl Fn(&[u8]) -> usize) -> ReadOutcome {
        let outcome = self.peek_once(buffer, &complete);
        if !matches!(outcome, ReadOutcome::Nothing) || !self.is_read_closed() {
            return outcome;
        }
        // The rest of the message may have arrived just before the end.
        match self.peek_once(buffer, &complete) {
            ReadOutcome::Nothing => ReadOutcome::Lost(ConnectionLoss::Closed(None)),
            outcome => outcome,
        }
    }

    fn peek_once(&self, buffer: &mut [u8], complete: impl Fn(&[u8]) -> usize) -> ReadOutcome {
        let peeked = self.stream.try_io(Interest::READABLE, || {
            let available = recv(self.stream.as_raw_fd(), buffer, MsgFlags::MSG_PEEK)?;
            match complete(buffer.get(..available).unwrap_or_default()) {
                // With only a part of a message, the connection is readable again when more has arrived.
                0 if available > 0 => Err(io::ErrorKind::WouldBlock.into()),
                whole => Ok(whole),
            }
        });
        ReadOutcome::from(peeked)
    }

    /// Returns whether the peer has closed its side; what it sent before may still be there to read.
    fn is_read_closed(&self) -> bool {
        let ready = self.stream.ready(Interest::READABLE).now_or_never();
        matches!(ready, Some(Ok(ready)) if ready.is_read_closed())
    }

    /// Takes handled octets out of the socket.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(super) fn consume(&mut self, buffer: &mut [u8]) -> Result<(), ConnectionLoss> {
        self.check_fence()?;
        let mut rest = buffer.len();
        while rest > 0 {
            match self.read(buffer.get_mut(..rest).unwrap_or_default()) {
                ReadOutcome::Octets(octets) => rest = rest.saturating_sub(octets),
                // They have been there.
                ReadOutcome::Nothing => return Err(ConnectionLoss::TakenOver),
                ReadOutcome::Lost(loss) => return Err(loss),
            }
        }
        Ok(())
    }

    /// Reads what is available.
    pub(super) fn read(&self, buffer: &mut [u8]) -> ReadOutcome {
        ReadOutcome::from(self.stream.try_read(buffer))
    }

    /// Returns whether nothing is left to send.
    pub(super) const fn is_idle(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Appends octets to send.
    ///
    /// # Errors
    /// If the session is no longer kept: because another process has taken it over, and nothing is sent; or
    /// because the journal has failed, and they are sent all the same.
    pub(super) fn push(&mut self, octets: Vec<u8>) -> Result<(), JournalError> {
        let journaled = self.kept.as_mut().map_or(Ok(()), |kept| kept.journal.append(&octets));
        if matches!(journaled, Err(JournalError::Fenced)) {
            return journaled;
        }
        if journaled.is_err() {
            self.kept = None;
            self.is_unkeepable = true;
        }
        if self.unsent.is_empty() {
            self.unsent = octets;
        } else {
            self.unsent.extend(octets);
        }
        journaled
    }

    /// Writes as much as the kernel accepts; returns true if nothing is left.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(super) fn write(&mut self) -> Result<bool, ConnectionLoss> {
        if !self.is_idle() {
            self.check_fence()?;
        }
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest) {
                Ok(octets) => self.sent += octets,
                Err(error) if is_passing(&error) => return Ok(false),
                Err(error) => return Err(ConnectionLoss::Closed(Some(error))),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(true)
    }

    fn check_fence(&self) -> Result<(), ConnectionLoss> {
        match self.kept.as_ref().map(|kept| kept.journal.is_fenced()) {
            Some(Ok(true)) => Err(ConnectionLoss::TakenOver),
            // A journal that cannot be read cannot be taken over, either.
            Some(Ok(false) | Err(_)) | None => Ok(()),
        }
    }

    /// Writes what is left, shuts down the write side, and reads until the peer closes, too: closing with
    /// unread octets would make the kernel discard unsent ones.
    pub(super) async fn close(mut self) {
        let drain = async {
            while !self.write().map_err(io::Error::from)? {
                self.stream.writable().await?;
            }
            socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write)?;
            let mut buffer = Self::buffer();
            loop {
                self.stream.readable().await?;
                if matches!(self.read(&mut buffer), ReadOutcome::Lost(_)) {
                    return Ok::<(), io::Error>(());
                }
            }
        };
        // Closed in any case.
        let _ = timeout(MAX_CLOSE_TIME, drain).await;
    }
}

/// Connections being closed: each is gone after two seconds at the latest.
#[derive(Debug, Default)]
pub(super) struct ClosingConnections(JoinSet<()>);

impl ClosingConnections {
    /// Maximum number; more are closed at once, which may lose their unsent NOTIFICATION.
    const MAX: usize = 8;

    /// Closes a connection in the background.
    pub(super) fn add(&mut self, connection: BgpConnection) {
        while self.0.try_join_next().is_some() {}
        if self.0.len() < Self::MAX {
            self.0.spawn(connection.close());
        }
    }

    /// Waits until one more is closed; `None` if there is none.
    pub(super) async fn next(&mut self) -> Option<()> {
        // Whatever the result, the connection is closed.
        self.0.join_next().await.map(drop)
    }
}

impl From<io::Result<usize>> for ReadOutcome {
    fn from(read: io::Result<usize>) -> Self {
        match read {
            Ok(0) => Self::Lost(ConnectionLoss::Closed(None)),
            Ok(octets) => Self::Octets(octets),
            Err(error) if is_passing(&error) => Self::Nothing,
            Err(error) => Self::Lost(ConnectionLoss::Closed(Some(error))),
        }
    }
}

impl ConnectionLoss {
    /// Returns the reason for the session, if there is one.
    pub(super) fn reason(&self) -> Option<String> {
        match self {
            Self::Closed(error) => error.as_ref().map(ToString::to_string),
            Self::TakenOver => Some("another process has taken it over".to_owned()),
        }
    }
}

impl From<ConnectionLoss> for io::Error {
    fn from(loss: ConnectionLoss) -> Self {
        match loss {
            ConnectionLoss::Closed(error) => error.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
            ConnectionLoss::TakenOver => io::ErrorKind::ConnectionAborted.into(),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn closing_connections_are_bounded_in_number_and_time() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut closing = ClosingConnections::default();
        let mut clients = Vec::new();
        for _ in 0..3 * ClosingConnections::MAX {
            clients.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
            closing.add(BgpConnection::new(listener.accept().await.unwrap().0));
        }
        assert_eq!(closing.0.len(), ClosingConnections::MAX, "the clients do not close");
        clients.clear();
        timeout(MAX_CLOSE_TIME * 2, async { while closing.next().await.is_some() {} }).await.unwrap();
        assert_eq!(closing.0.len(), 0);
    }
}
