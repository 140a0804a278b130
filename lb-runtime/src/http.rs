//! The HTTP server behind metrics, health, the webhook and the status socket.
//!
//! ```text
//!   accept ──► ConnectionTable ──► handshake ──► head ──► router ──► response ─┐
//!                 │ full: evicts the connection of the          ▲              │
//!                 │ busiest client that has waited longest      └── idle ◄─────┘
//! ```
//!
//! Everything that a client can make the server hold is bounded: connections, the time of each step, the
//! bytes of a head, of a body, and of all bodies and responses together. A slow client loses its slot to a
//! new one, and a client with many connections loses them before others lose theirs. So the server answers
//! health and status requests while thousands of silent connections are open.

mod connection;
mod limits;
mod listener;
mod table;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

pub use self::connection::{BodyError, ConnectionSlot};
pub use self::limits::HttpLimits;
pub use self::listener::{ClientKey, Listener};
use self::table::ConnectionTable;
use crate::descriptors::AcceptErrors;

/// Connections that the kernel queues until they are accepted. With a short queue, a burst of connections
/// delays all other clients by the second after which they retransmit their SYN.
const BACKLOG: u32 = 1024;
/// The maximum of evicted connections whose descriptors are still open.
const CLOSING: usize = 8;

/// Listens on an address.
///
/// # Errors
/// When the address or the port is not available.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind` does: a port with connections in TIME_WAIT is available.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// An HTTP server with bounded connections.
#[derive(Debug)]
pub struct HttpServer {
    table: Arc<ConnectionTable>,
}

impl HttpServer {
    /// Creates a server without connections. Log lines contain `name`.
    pub fn new(name: &'static str, limits: HttpLimits) -> Self {
        Self { table: Arc::new(ConnectionTable::new(name, limits)) }
    }

    /// Serves connections until the task is aborted.
    pub async fn serve<L: Listener>(self, listener: L, router: Router) {
        self.run(listener, router, async |stream| Ok(stream)).await;
    }

    /// Serves connections over TLS. Closes them while `identity` is `None`.
    pub async fn serve_tls(
        self,
        listener: TcpListener,
        identity: watch::Receiver<Option<Arc<ServerConfig>>>,
        router: Router,
    ) {
        let secure = move |stream| {
            let identity = identity.borrow().clone();
            async move {
                let identity =
                    identity.ok_or_else(|| io::Error::other("the server has no certificate yet"))?;
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
            // An evicted connection keeps its descriptor until its task has run.
            let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, client)) => {
                    errors.succeeded();
                    // Full: a request is in progress on every connection, and none waits for its client.
                    let Some((slot, evicted)) = ConnectionSlot::take(&self.table, client, Instant::now())
                    else {
                        continue;
                    };
                    let secured = secure(stream);
                    tokio::spawn(connection::serve(secured, slot, evicted, router.clone(), permit));
                }
                Err(error) => tokio::time::sleep(errors.failed(self.table.name, &error)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
