//! A load while it runs.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use tokio::sync::watch;

use crate::lab::host::{LabHost, runtime};

/// What a load has done so far.
#[derive(Debug)]
pub(super) struct Progress {
    /// What the times in a report are counted from.
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

/// A load that runs on a thread of its own until it is asked for its report.
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

    /// What the times in its report are counted from.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.progress.start
    }

    /// How many flows have been answered by a pod.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.progress.open.load(Ordering::Relaxed)
    }

    /// How many flows have failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.progress.failed.load(Ordering::Relaxed)
    }

    /// How many bytes have come back right.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.progress.bytes.load(Ordering::Relaxed)
    }

    /// Waits until so many flows have been answered.
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

    /// Waits until `bytes` more have come back right: proof that traffic flows after an event.
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

    /// Ends the load in good order and returns what became of every flow.
    ///
    /// # Errors
    /// When the load could not run at all; a flow that failed is in the report.
    pub fn finish(self) -> Result<Report> {
        let _ = self.stop.send(true);
        self.thread.join().map_err(|_| anyhow!("the load panicked"))?
    }
}

/// Resolves when the load is to end, also when whoever runs it is gone.
pub(super) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}
