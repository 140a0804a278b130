//! A watchdog of loops: each loop beats its heart, and `/healthz` fails while a heart has not beaten for too
//! long.
//!
//! kubelet then restarts the container, which is right for an agent: the kernel keeps forwarding, and the
//! next agent takes over. So a limit is far above the duration of a pass on a busy node, and far below the
//! time after which an operator notices. A process that was suspended as a whole has no stuck loop after it
//! resumes: kubelet probes several times before it acts, and by then every loop has beaten again.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The limit of the control loop and of a BGP peer's task. With 100,000 endpoints on a busy node a pass takes
/// one or two seconds, and more with a slow disk.
pub const TASK_LIMIT: Duration = Duration::from_secs(30);
/// The limit of a thread that never waits for longer than a second; its sessions are lost long before.
pub const THREAD_LIMIT: Duration = Duration::from_secs(10);
/// The limit of a loop that waits for API servers. With many writes to a slow server a pass takes minutes,
/// and a restart would not be faster.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(600);

/// The interval at which a loop that waits for events beats.
const BEAT: Duration = Duration::from_secs(1);
/// The beat of a loop that has ended normally.
const ENDED: u64 = u64::MAX;

/// The watchdog of all loops of the process; clones watch the same loops.
#[derive(Clone, Debug)]
pub struct Watchdog {
    start: Instant,
    beats: Arc<Mutex<Vec<Arc<Beat>>>>,
}

/// The heart of one loop.
#[derive(Debug)]
pub struct Heart {
    start: Instant,
    beat: Arc<Beat>,
}

#[derive(Debug)]
struct Beat {
    name: String,
    limit: Duration,
    /// The last beat in milliseconds since the start.
    at: AtomicU64,
}

/// A loop that is stuck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckLoop {
    /// Its name.
    pub name: String,
    /// The time since its last beat.
    pub silent: Duration,
}

impl fmt::Display for StuckLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loop \"{}\" has been stuck for {} s", self.name, self.silent.as_secs())
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { start: Instant::now(), beats: Arc::default() }
    }
}

impl Watchdog {
    /// Registers a loop and returns its heart, which beats now. The loop is stuck when it has not beaten for
    /// `limit`.
    pub fn heart(&self, name: impl Into<String>, limit: Duration) -> Heart {
        let beat = Arc::new(Beat { name: name.into(), limit, at: AtomicU64::new(0) });
        let mut beats = self.beats();
        beats.retain(|beat| beat.at.load(Ordering::Relaxed) != ENDED);
        beats.push(Arc::clone(&beat));
        let heart = Heart { start: self.start, beat };
        heart.beat();
        heart
    }

    /// Returns the loops that are stuck.
    pub fn stuck(&self) -> Vec<StuckLoop> {
        let now = self.start.elapsed();
        let beats = self.beats();
        let stuck = beats.iter().filter_map(|beat| {
            let silent = silence(beat.at.load(Ordering::Relaxed), beat.limit, now)?;
            Some(StuckLoop { name: beat.name.clone(), silent })
        });
        stuck.collect()
    }

    /// Locks the beats. A panic of another task that held the lock leaves every beat consistent.
    fn beats(&self) -> MutexGuard<'_, Vec<Arc<Beat>>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time since the last beat if it exceeds the limit.
fn silence(at: u64, limit: Duration, now: Duration) -> Option<Duration> {
    if at == ENDED {
        return None;
    }
    let silent = now.saturating_sub(Duration::from_millis(at));
    (silent > limit).then_some(silent)
}

impl Heart {
    /// Notes that the loop makes progress.
    pub fn beat(&self) {
        self.beat.at.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Waits for something that may never happen. The loop does not count as stuck while this future is
    /// polled.
    pub async fn beating<F: Future>(&self, waiting: F) -> F::Output {
        let mut waiting = pin!(waiting);
        loop {
            self.beat();
            if let Ok(output) = tokio::time::timeout(BEAT, &mut waiting).await {
                self.beat();
                return output;
            }
        }
    }
}

impl Drop for Heart {
    /// Ends the watch of a loop that ends normally; a loop that panics stays stuck.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.beat.at.store(ENDED, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_loop_is_stuck_when_its_last_beat_is_older_than_its_limit() {
        let at = |seconds| silence(5_000, LIMIT, Duration::from_secs(seconds));
        assert_eq!((at(5), at(34), at(35)), (None, None, None));
        assert_eq!(at(36), Some(Duration::from_secs(31)));
        assert_eq!(at(4), None, "a beat after the clock was read");
        assert_eq!(silence(ENDED, LIMIT, Duration::MAX), None);
    }

    #[test]
    fn a_stuck_loop_is_reported_until_it_resumes() {
        let watchdog = Watchdog::default();
        let limit = Duration::from_millis(20);
        let (control, _other) = (watchdog.heart("control", limit), watchdog.heart("other", LIMIT));
        assert_eq!(watchdog.stuck(), []);
        std::thread::sleep(limit * 2);
        let stuck = watchdog.stuck();
        assert_eq!(stuck.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["control"]);
        control.beat();
        assert_eq!(watchdog.stuck(), []);
    }

    #[test]
    fn a_loop_that_ended_normally_is_forgotten_and_one_that_panicked_is_not() {
        let watchdog = Watchdog::default();
        drop(watchdog.heart("ended", Duration::ZERO));
        let heart = watchdog.heart("panicked", Duration::ZERO);
        let thread = std::thread::spawn(move || {
            let _heart = heart;
            std::panic::resume_unwind(Box::new("a bug"));
        });
        assert!(thread.join().is_err());
        std::thread::sleep(Duration::from_millis(5));
        let names: Vec<_> = watchdog.stuck().into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["panicked"]);
    }

    #[tokio::test]
    async fn a_loop_that_waits_is_not_stuck() {
        let watchdog = Watchdog::default();
        let heart = watchdog.heart("waiting", BEAT + BEAT / 2);
        let event = heart.beating(tokio::time::sleep(BEAT * 2));
        let look = async {
            tokio::time::sleep(BEAT + BEAT * 3 / 4).await;
            watchdog.stuck()
        };
        assert_eq!(tokio::join!(event, look), ((), Vec::new()));
    }
}
