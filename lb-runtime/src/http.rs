//! The HTTP server behind metrics, health, the webhook and the status socket.
//!
//! ```text
//!   accept ──► Table (connections, bytes) ──► handshake ──► head ──► router ──► answer ─┐
//!                 │ full: the connection that has waited longest         ▲              │
//!                 └─ for the busiest client is closed                    └── idle ◄─────┘
//! ```
//!
//! Everything that a client can make the server hold is bounded: connections, the time for each step, the bytes of a
//! head, of a body, and of all bodies and answers together. A client that is slow loses its place to one that comes;
//! a client that opens many connections loses them before others lose theirs. So health and status are answered
//! while thousands of connections are open that say nothing.

mod connection;
mod listener;
mod table;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

pub use self::connection::{BodyError, ConnectionSlot};
pub use self::listener::{Listener, Origin};
use self::table::Table;
use crate::descriptors::{self, AcceptErrors};

/// Connections that the kernel holds until they are accepted: with few, a burst of strangers costs everybody else a
/// second, which is when a SYN is sent again.
const BACKLOG: u32 = 1024;
/// Connections without a slot whose descriptors are not closed yet, at most.
const CLOSING: usize = 8;

/// Listens on an address.
///
/// # Errors
/// When the address or the port is not to be had.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind` does: a port whose former connections are in TIME_WAIT is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What the clients of one server may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// From the connection to the end of the first head, a TLS handshake included.
    pub head: Duration,
    /// From a head to the answer, the body included.
    pub request: Duration,
    /// From an answer to the end of the next head; the client has to read the answer in this time, too.
    pub idle: Duration,
    /// Bytes of one body.
    pub body: usize,
    /// Bytes of all bodies and answers that are held at once. A single answer may be longer.
    pub bytes: usize,
}

impl Limits {
    /// For machines that ask for metrics, health or status, where `files` may be open.
    pub fn of_questions(files: u64) -> Self {
        Self {
            connections: descriptors::share(files, 256),
            head: Duration::from_secs(5),
            request: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            // No question has a body that is read.
            body: 0,
            bytes: 32 << 20,
        }
    }

    /// For API servers that have objects reviewed, where `files` may be open. An object is no longer than 1.5 MiB, and a
    /// review holds it twice; a conversion holds a list of them.
    pub fn of_reviews(files: u64) -> Self {
        Self {
            head: Duration::from_secs(10),
            // API servers keep connections for the next review.
            idle: Duration::from_secs(60),
            body: 8 << 20,
            ..Self::of_questions(files)
        }
    }
}

/// What listens, with the table of its connections.
#[derive(Debug)]
pub struct HttpServer {
    table: Arc<Table>,
}

impl HttpServer {
    /// A server without connections; `name` stands in the log.
    pub fn new(name: &'static str, limits: Limits) -> Self {
        Self { table: Arc::new(Table::new(name, limits)) }
    }

    /// Answers until the task is ended.
    pub async fn serve<L: Listener>(self, listener: L, router: Router) {
        self.run(listener, router, async |stream| Ok(stream)).await;
    }

    /// The same over TLS. While there is no `identity`, connections are closed.
    pub async fn serve_tls(
        self,
        listener: TcpListener,
        identity: watch::Receiver<Option<Arc<ServerConfig>>>,
        router: Router,
    ) {
        let secure = move |stream| {
            let identity = identity.borrow().clone();
            async move {
                let identity = identity.ok_or_else(|| io::Error::other("there is no certificate yet"))?;
                TlsAcceptor::from(identity).accept(stream).await
            }
        };
        self.run(listener, router, secure).await;
    }

    async fn run<L, S, F>(self, listener: L, router: Router, secure: impl Fn(L::Stream) -> F)
    where
        L: Listener,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let mut errors = AcceptErrors::default();
        let open = Arc::new(Semaphore::new(self.table.limits.connections + CLOSING));
        loop {
            // A connection that has lost its slot has its descriptor until its task has run.
            let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, origin)) => {
                    errors.succeeded();
                    // Refused: every connection is being worked for, and none waits for its client.
                    let Some((slot, closed)) = ConnectionSlot::take(&self.table, origin, Instant::now())
                    else {
                        continue;
                    };
                    let secured = secure(stream);
                    tokio::spawn(connection::serve(secured, slot, closed, router.clone(), permit));
                }
                Err(error) => tokio::time::sleep(errors.failed(self.table.name, &error)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
