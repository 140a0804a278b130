//! A connection that carries nothing while it is cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::ProxyFault;

/// How long a side waits for an acknowledgment before it gives the connection up: what it has sent is lost.
const GIVEN_UP: Duration = Duration::from_secs(4);

/// A connection under faults.
pub(super) struct GatedStream {
    stream: TcpStream,
    fault: watch::Receiver<ProxyFault>,
    /// Completes when the connection is open again.
    opened: Option<BoxFuture<'static, ()>>,
}

impl GatedStream {
    /// Wraps a connection; the future completes when the connection is to be broken.
    pub(super) fn new(
        stream: TcpStream,
        fault: watch::Receiver<ProxyFault>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let broken = break_off(fault.clone());
        (Self { stream, fault, opened: None }, broken)
    }

    /// Is ready while packets pass.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.opened.is_none() {
            if *self.fault.borrow() != ProxyFault::Cut {
                return Poll::Ready(());
            }
            let mut fault = self.fault.clone();
            self.opened =
                Some(async move { drop(fault.wait_for(|it| *it != ProxyFault::Cut).await) }.boxed());
        }
        let opened = self.opened.as_mut().map(|opened| opened.poll_unpin(context));
        if opened == Some(Poll::Pending) {
            return Poll::Pending;
        }
        self.opened = None;
        Poll::Ready(())
    }
}

/// Completes when the server is away, or packets pass again after both sides have given up.
async fn break_off(mut fault: watch::Receiver<ProxyFault>) {
    loop {
        let is_cut = match fault.wait_for(|it| matches!(it, ProxyFault::Away | ProxyFault::Cut)).await {
            Ok(it) => *it == ProxyFault::Cut,
            Err(_) => return,
        };
        if !is_cut {
            return;
        }
        if timeout(GIVEN_UP, fault.wait_for(|it| *it != ProxyFault::Cut)).await.is_err() {
            // The reset does not arrive either before packets pass again.
            let _ = fault.wait_for(|it| *it != ProxyFault::Cut).await;
            return;
        }
    }
}

impl AsyncRead for GatedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.poll_open(context).is_pending() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for GatedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.poll_open(context).is_pending() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
