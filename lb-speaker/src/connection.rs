//! A TCP connection with buffered output: at most one chunk from the session.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Maximum time for closing: a peer that reads nothing must not delay us.
const MAX_CLOSE_TIME: Duration = Duration::from_secs(2);
/// Size of the read buffer.
const READ: usize = 16 * 1024;

/// A connection in use.
#[derive(Debug)]
pub(super) struct BgpConnection {
    stream: TcpStream,
    unsent: Vec<u8>,
    /// Octets of `unsent` that are in the kernel.
    sent: usize,
}

/// The result of a read.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// This many octets were read.
    Octets(usize),
    /// Nothing to read.
    Nothing,
    /// The connection is closed, with the operating system's error if any.
    End(Option<io::Error>),
}

impl BgpConnection {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self { stream, unsent: Vec::new(), sent: 0 }
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns a buffer for [`read`](Self::read).
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

    /// Reads what is available.
    pub(super) fn read(&self, buffer: &mut [u8]) -> ReadOutcome {
        match self.stream.try_read(buffer) {
            Ok(0) => ReadOutcome::End(None),
            Ok(octets) => ReadOutcome::Octets(octets),
            Err(error) if is_passing(&error) => ReadOutcome::Nothing,
            Err(error) => ReadOutcome::End(Some(error)),
        }
    }

    /// Returns whether nothing is left to send.
    pub(super) const fn is_idle(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Appends octets to send.
    pub(super) fn push(&mut self, octets: Vec<u8>) {
        if self.unsent.is_empty() {
            self.unsent = octets;
        } else {
            self.unsent.extend(octets);
        }
    }

    /// Writes as much as the kernel accepts; returns true if nothing is left.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest) {
                Ok(octets) => self.sent += octets,
                Err(error) if is_passing(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Writes what is left, shuts down the write side, and reads until the peer closes, too: closing with
    /// unread octets would make the kernel discard unsent ones.
    pub(super) async fn close(mut self) {
        let drain = async {
            while !self.write()? {
                self.stream.writable().await?;
            }
            socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write)?;
            let mut buffer = Self::buffer();
            loop {
                self.stream.readable().await?;
                if matches!(self.read(&mut buffer), ReadOutcome::End(_)) {
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
