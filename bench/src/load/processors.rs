//! How long the processors of the machine were busy.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Ticks per second of `/proc/stat`, on every architecture: `USER_HZ`.
const TICKS: f64 = 100.0;

/// The time that processors had been busy, and when it was read.
#[derive(Clone, Copy, Debug)]
pub struct BusyTime {
    seconds: f64,
    at: Instant,
}

/// Busy time within a span of time.
#[derive(Clone, Copy, Debug)]
pub struct BusySpan {
    /// Seconds, of all processors together.
    busy: f64,
    span: f64,
}

impl BusyTime {
    /// Reads it.
    ///
    /// # Errors
    /// When the kernel does not report it.
    pub fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let ticks = ticks(&text).context("/proc/stat has no line of all processors")?;
        Ok(Self { seconds: ticks as f64 / TICKS, at: Instant::now() })
    }

    /// Returns what processors are busy with while this thread sleeps.
    ///
    /// # Errors
    /// When the kernel does not report it.
    pub fn during(time: Duration) -> Result<BusySpan> {
        let before = Self::now()?;
        sleep(time);
        before.elapsed()
    }

    /// Returns the busy time since.
    ///
    /// # Errors
    /// When the kernel does not report it.
    pub fn elapsed(&self) -> Result<BusySpan> {
        let now = Self::now()?;
        let span = now.at.duration_since(self.at).as_secs_f64();
        Ok(BusySpan { busy: now.seconds - self.seconds, span })
    }
}

impl BusySpan {
    /// Subtracts what processors were busy with anyway, in proportion to the time.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        let anyway = if other.span > 0.0 { other.busy / other.span * self.span } else { 0.0 };
        Self { busy: (self.busy - anyway).max(0.0), ..self }
    }

    /// Returns the busy seconds of one of this many things.
    #[must_use]
    pub fn per(self, things: u64) -> f64 {
        self.busy / things.max(1) as f64
    }
}

/// Returns the ticks in which processors were neither idle nor waiting, nor another guest's (proc_stat(5)).
fn ticks(text: &str) -> Option<u64> {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = all.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal, …
    [0, 1, 2, 5, 6].into_iter().map(|place| fields.get(place).copied()).sum()
}

#[cfg(test)]
mod tests {
    use super::{BusySpan, ticks};

    #[test]
    fn idle_and_stolen_time_is_not_busy() {
        let text = "cpu  10 20 30 4000 500 6 7 8000 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(ticks(text), Some(73));
        assert_eq!(ticks("intr 0\n"), None);
    }

    #[test]
    fn what_runs_anyway_is_subtracted_in_proportion() {
        let (load, idle) = (BusySpan { busy: 1.2, span: 2.0 }, BusySpan { busy: 0.05, span: 0.5 });
        assert!((load.less(idle).per(1000) - 0.001).abs() < 1e-12);
    }
}
