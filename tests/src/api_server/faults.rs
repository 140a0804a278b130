//! Fault injection into the server and its connections, for tests of its clients.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Faults of a server. They are part of the [`super::ObjectStore`], so that they survive a restart of the
/// server.
#[derive(Debug)]
pub struct ApiFaults {
    plan: Mutex<Plan>,
    /// How often all connections were broken, and how often they were silenced.
    connections: watch::Sender<Times>,
    /// Whether requests are left unanswered.
    paused: watch::Sender<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    broken: u64,
    silent: u64,
}

#[derive(Debug, Default)]
struct Plan {
    delay: Duration,
    /// One request in so many fails; zero: none.
    one_in: u64,
    statuses: Vec<u16>,
    random: u64,
}

impl Default for ApiFaults {
    fn default() -> Self {
        Self {
            plan: Mutex::default(),
            connections: watch::Sender::new(Times::default()),
            paused: watch::Sender::new(false),
        }
    }
}

impl ApiFaults {
    /// Delays each request; zero: no delay.
    pub fn delay(&self, each: Duration) {
        self.lock().delay = each;
    }

    /// Fails one request in so many, at random by a seed, with one of these statuses: 429 (with
    /// `Retry-After`), 410, 500, 503 or any other. Zero: none.
    pub fn refuse(&self, one_in: u64, statuses: &[u16], seed: u64) {
        let mut plan = self.lock();
        (plan.one_in, plan.statuses, plan.random) = (one_in, statuses.to_vec(), seed | 1);
    }

    /// Holds back all responses and watch events until [`Self::resume`]; connections stay open.
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Answers pending requests, and continues.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Breaks all connections; new ones are accepted.
    pub fn drop_connections(&self) {
        self.connections.send_modify(|times| times.broken += 1);
    }

    /// Leaves all connections half open, as a firewall that has lost their state does: requests are received
    /// but never answered. New connections are served.
    pub fn half_open(&self) {
        self.connections.send_modify(|times| times.silent += 1);
    }

    /// Ends all faults; broken or half-open connections stay so.
    pub fn clear(&self) {
        *self.lock() = Plan::default();
        self.resume();
    }

    /// Delays a request; returns the status that it fails with, if any.
    pub(super) async fn apply_fault(&self) -> Option<u16> {
        let (delay, refused) = self.lock().draw();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.resumed().await;
        refused
    }

    /// Waits while the server is paused.
    pub(super) async fn resumed(&self) {
        // The sender lives as long as this.
        let _: Result<_, watch::error::RecvError> =
            self.paused.subscribe().wait_for(|paused| !paused).await.map(|_| ());
    }

    /// Wraps a connection under these faults.
    pub(super) fn connection(&self, stream: TcpStream) -> FaultyConnection {
        let times = *self.connections.borrow();
        FaultyConnection { stream, times, now: self.connections.subscribe() }
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn draw(&mut self) -> (Duration, Option<u16>) {
        if self.one_in == 0 || self.statuses.is_empty() {
            return (self.delay, None);
        }
        let hit = self.next().is_multiple_of(self.one_in);
        let which = usize::try_from(self.next()).unwrap_or_default() % self.statuses.len();
        (self.delay, hit.then(|| self.statuses[which]))
    }

    /// Draws a number: Xorshift without the low bits.
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }
}

/// A connection that can be silenced.
#[derive(Debug)]
pub(super) struct FaultyConnection {
    stream: TcpStream,
    /// The counters when it was opened.
    times: Times,
    now: watch::Receiver<Times>,
}

impl FaultyConnection {
    /// Completes when the connection is to be broken.
    pub(super) fn broken(&self) -> impl Future<Output = ()> + use<> {
        let (mut now, then) = (self.now.clone(), self.times.broken);
        async move {
            // An error means that the server has ended, which breaks its connections.
            let _: Result<_, watch::error::RecvError> =
                now.wait_for(|times| times.broken != then).await.map(|_| ());
        }
    }

    fn is_silent(&self) -> bool {
        self.now.borrow().silent != self.times.silent
    }
}

impl AsyncRead for FaultyConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        loop {
            let read = Pin::new(&mut self.stream).poll_read(context, buffer);
            // A silent connection ignores input and the client's disconnect.
            if !self.is_silent() {
                return read;
            }
            let ended = buffer.filled().len() == filled;
            buffer.set_filled(filled);
            if read.is_pending() || ended {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for FaultyConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_silent() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_silent() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
