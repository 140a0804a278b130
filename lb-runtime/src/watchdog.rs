//! Notices loops that are stuck: each beats its heart, and `/healthz` fails while one has not for too long.
//!
//! kubelet then starts the container anew, which is right for an agent: what is in the kernel goes on forwarding, and
//! the next agent takes it over. So a limit is far above what a loop takes when the machine is busy, and far below what
//! an operator takes to notice. A process that has been stopped as a whole has no stuck loop once it goes on: kubelet
//! asks several times before it acts, and by then every loop has beaten again.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The control loop, or the task of a BGP peer, is stuck when it has not come round for so long: with 100,000 endpoints on
/// a busy machine a round takes a second or two, and a disk that is slow some more.
pub const TASK_LIMIT: Duration = Duration::from_secs(30);
/// The same for a thread that waits for nothing longer than a second: its sessions have been lost long before.
pub const THREAD_LIMIT: Duration = Duration::from_secs(10);
/// The same for a loop that waits for API servers: with many writes on a slow server a round takes minutes, and a new
/// container would be no faster.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(600);

/// A loop that waits for events beats as often as this.
const BEAT: Duration = Duration::from_secs(1);
/// A heart that has stopped for good, as its loop has ended in order.
const ENDED: u64 = u64::MAX;

/// All loops of the process; clones watch the same ones.
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
    /// Milliseconds after the start.
    at: AtomicU64,
}

/// A loop that is stuck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Its name.
    pub name: String,
    /// How long ago its heart beat last.
    pub silent: Duration,
}

impl fmt::Display for Stuck {
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
    /// The heart of another loop, which beats now. The loop is stuck when it has not beaten for `limit`.
    pub fn heart(&self, name: impl Into<String>, limit: Duration) -> Heart {
        let beat = Arc::new(Beat { name: name.into(), limit, at: AtomicU64::new(0) });
        let mut beats = self.beats();
        beats.retain(|beat| beat.at.load(Ordering::Relaxed) != ENDED);
        beats.push(Arc::clone(&beat));
        let heart = Heart { start: self.start, beat };
        heart.beat();
        heart
    }

    /// The loops that are stuck now.
    pub fn stuck(&self) -> Vec<Stuck> {
        let now = self.start.elapsed();
        let beats = self.beats();
        let stuck = beats.iter().filter_map(|beat| {
            let silent = silence(beat.at.load(Ordering::Relaxed), beat.limit, now)?;
            Some(Stuck { name: beat.name.clone(), silent })
        });
        stuck.collect()
    }

    /// A panic of another task while it held the lock leaves every beat as it was.
    fn beats(&self) -> MutexGuard<'_, Vec<Arc<Beat>>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long ago a heart beat last, if that is longer than its limit.
fn silence(at: u64, limit: Duration, now: Duration) -> Option<Duration> {
    if at == ENDED {
        return None;
    }
    let silent = now.saturating_sub(Duration::from_millis(at));
    (silent > limit).then_some(silent)
}

impl Heart {
    /// The loop goes on.
    pub fn beat(&self) {
        self.beat.at.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Waits for something that may never come: the loop is not stuck meanwhile, as long as it is polled.
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
    /// A loop that ends in order is over; one that panics is stuck for good.
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
        assert_eq!(at(4), None, "a beat between two looks at the clock");
        assert_eq!(silence(ENDED, LIMIT, Duration::MAX), None);
    }

    #[test]
    fn a_loop_that_stands_still_is_named_until_it_goes_on() {
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
    fn a_loop_that_ended_in_order_is_forgotten_and_one_that_panicked_is_not() {
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
