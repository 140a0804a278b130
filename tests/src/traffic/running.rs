//! A running load.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use tokio::sync::watch;

use crate::lab::host::{LabHost, runtime};

/// The progress of a load.
#[derive(Debug)]
pub(super) struct Progress {
    /// The origin of the times in a report.
    pub(super) start: Instant,
    pub(super) open: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Progress {
    fn begin() -> Self {
        let zero = AtomicU64::default;
        Self { start: Instant::now(), open: zero(), failed: zero(), bytes: zero() }
    }

    pub(super) fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }
}

/// A load that runs on a thread of its own until it is finished.
#[derive(Debug)]
pub struct RunningLoad<Report> {
    stop: watch::Sender<bool>,
    progress: Arc<Progress>,
    thread: JoinHandle<Result<Report>>,
}

impl<Report: Send + 'static> RunningLoad<Report> {
    pub(super) fn start<F>(
        host: &LabHost,
        load: impl FnOnce(Arc<Progress>, watch::Receiver<bool>) -> F + Send + 'static,
    ) -> Result<Self>
    where
        F: Future<Output = Result<Report>>,
    {
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Progress::begin());
        let shared = Arc::clone(&progress);
        let thread = host.thread(move || runtime()?.block_on(load(shared, stopped)))?;
        Ok(Self { stop, progress, thread })
    }

    /// Returns the origin of the times in its report.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.progress.start
    }

    /// Returns how many flows a pod has answered.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.progress.open.load(Ordering::Relaxed)
    }

    /// Returns how many flows have failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.progress.failed.load(Ordering::Relaxed)
    }

    /// Returns how many bytes were echoed correctly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.progress.bytes.load(Ordering::Relaxed)
    }

    /// Waits until this many flows have been answered.
    ///
    /// # Errors
    /// When they have not by then.
    pub fn wait_open(&self, flows: u64, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        while self.open() < flows {
            if Instant::now() > until || self.thread.is_finished() {
                bail!("{} of {flows} flows are open, {} failed", self.open(), self.failed());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits until `bytes` more were echoed correctly: proof that traffic flows after an event.
    ///
    /// # Errors
    /// When they have not by then.
    pub fn wait_bytes(&self, bytes: u64, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        let goal = self.bytes() + bytes;
        while self.bytes() < goal {
            if Instant::now() > until {
                bail!("{} bytes are missing after {within:?}", goal - self.bytes());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends the load cleanly and returns the results of every flow.
    ///
    /// # Errors
    /// When the load could not run; a failed flow is in the report.
    pub fn finish(self) -> Result<Report> {
        let _ = self.stop.send(true);
        self.thread.join().map_err(|_| anyhow!("the load panicked"))?
    }
}

/// Resolves when the load is to end, or its handle is dropped.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}
