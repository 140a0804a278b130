//! HTTP requests at a fixed rate, each on a connection of its own, as the scripts of failover guides send
//! them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::running::{Progress, RunningLoad, stopped};
use crate::lab::LabHost;

/// A stream of requests to one address.
#[derive(Clone, Copy, Debug)]
pub struct RequestStream {
    /// The target: the HTTP port of a Service.
    pub target: SocketAddr,
    /// The time from one request to the next, whether or not earlier ones have been answered.
    pub every: Duration,
    /// How long a connection and the whole answer may take.
    pub patience: Duration,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRequest {
    /// When it was due, since the stream's start.
    pub sent: Duration,
    /// Whether it was answered in time.
    pub is_answered: bool,
}

/// All requests of a stream.
#[derive(Clone, Debug)]
pub struct RequestStreamReport {
    /// The requests in the order in which they were sent.
    pub requests: Vec<StreamRequest>,
    /// The origin of their times.
    pub started: Instant,
}

impl RequestStream {
    /// Sends a request every 5 ms, each of which may take a second.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        Self { target, every: Duration::from_millis(5), patience: Duration::from_secs(1) }
    }

    /// Starts it on a host.
    ///
    /// # Errors
    /// When the host cannot be entered.
    pub fn start(self, host: &LabHost) -> Result<RunningLoad<RequestStreamReport>> {
        RunningLoad::start(host, move |progress, stop| self.run(progress, stop))
    }

    async fn run(
        self,
        progress: Arc<Progress>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<RequestStreamReport> {
        let mut ticks = interval(self.every);
        // A request that was delayed is late, and not missing.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut tasks = Vec::new();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                _ = ticks.tick() => tasks.push(tokio::spawn(self.request(Arc::clone(&progress)))),
            }
        }
        let mut requests = Vec::with_capacity(tasks.len());
        for task in tasks {
            requests.push(task.await.context("a request's task")?);
        }
        Ok(RequestStreamReport { requests, started: progress.start })
    }

    async fn request(self, progress: Arc<Progress>) -> StreamRequest {
        let sent = progress.start.elapsed();
        let answered = timeout(self.patience, exchange(self.target)).await;
        let is_answered = answered.is_ok_and(|status| status.is_ok_and(|it| it));
        Progress::add(if is_answered { &progress.open } else { &progress.failed }, 1);
        StreamRequest { sent, is_answered }
    }
}

/// Returns whether a pod answers with its line.
async fn exchange(target: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.starts_with("HTTP/1.1 200 ") && text.contains("pod="))
}
