//! One TCP connection: octets in, and at most one piece of octets on its way out.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// No last word takes longer: a neighbour that reads nothing must not hold us up.
const MAX_CLOSE_TIME: Duration = Duration::from_secs(2);
/// Octets read at once.
const READ: usize = 16 * 1024;

/// A connection that is in use.
#[derive(Debug)]
pub(super) struct BgpConnection {
    stream: TcpStream,
    unsent: Vec<u8>,
    /// Of `unsent`, octets that are in the kernel.
    sent: usize,
}

/// What reading brought.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// So many octets.
    Octets(usize),
    /// Nothing is there.
    Nothing,
    /// The connection is over; what the operating system said of it.
    End(Option<io::Error>),
}

impl BgpConnection {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self { stream, unsent: Vec::new(), sent: 0 }
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// A buffer for [`read`](Self::read).
    pub(super) fn buffer() -> Vec<u8> {
        vec![0; READ]
    }

    /// Waits until there is something to read or room for what is unsent. May be dropped at any time.
    pub(super) async fn ready(&self) {
        let writable = async { if self.is_idle() { pending().await } else { self.stream.writable().await } };
        // An error shows in the read or write that follows.
        tokio::select! {
            _ = self.stream.readable() => {}
            _ = writable => {}
        }
    }

    /// Takes what is there.
    pub(super) fn read(&self, buffer: &mut [u8]) -> ReadOutcome {
        match self.stream.try_read(buffer) {
            Ok(0) => ReadOutcome::End(None),
            Ok(octets) => ReadOutcome::Octets(octets),
            Err(error) if is_passing(&error) => ReadOutcome::Nothing,
            Err(error) => ReadOutcome::End(Some(error)),
        }
    }

    /// Nothing is on its way out.
    pub(super) const fn is_idle(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Adds octets to what is to be written.
    pub(super) fn push(&mut self, octets: Vec<u8>) {
        if self.unsent.is_empty() {
            self.unsent = octets;
        } else {
            self.unsent.extend(octets);
        }
    }

    /// Writes as much as the kernel takes; true when that was all.
    ///
    /// # Errors
    /// When the connection is lost.
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

    /// Writes what is left, says that this was all, and reads until the neighbour hangs up, too: closing with
    /// octets unread would have the kernel throw away what is unsent.
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
        // Whether it was heard or not: it is over.
        let _ = timeout(MAX_CLOSE_TIME, drain).await;
    }
}

/// Connections of a neighbour that are being closed: each is gone after two seconds at the latest.
#[derive(Debug, Default)]
pub(super) struct ClosingConnections(JoinSet<()>);

impl ClosingConnections {
    /// At once; beyond that connections are closed without delay, and what is unsent of them may be lost, as
    /// NOTIFICATIONs may be.
    const MAX: usize = 8;

    /// Closes a connection in its own time.
    pub(super) fn add(&mut self, connection: BgpConnection) {
        while self.0.try_join_next().is_some() {}
        if self.0.len() < Self::MAX {
            self.0.spawn(connection.close());
        }
    }

    /// Waits until one more is closed; `None` if there is none.
    pub(super) async fn next(&mut self) -> Option<()> {
        // However it ended: the connection is closed.
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
    async fn connections_that_are_being_closed_are_few_and_soon_gone() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut closing = ClosingConnections::default();
        let mut clients = Vec::new();
        for _ in 0..3 * ClosingConnections::MAX {
            clients.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
            closing.add(BgpConnection::new(listener.accept().await.unwrap().0));
        }
        assert_eq!(closing.0.len(), ClosingConnections::MAX, "the clients do not hang up");
        clients.clear();
        timeout(MAX_CLOSE_TIME * 2, async { while closing.next().await.is_some() {} }).await.unwrap();
        assert_eq!(closing.0.len(), 0);
    }
}
