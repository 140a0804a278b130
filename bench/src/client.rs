//! Clients that measure: requests at a fixed rate, round trips, connects. Each runs on the thread that calls
//! it, so that a client on a host of the lab takes one core at most.

pub mod http;
pub mod round_trip;

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

/// The longest latency that is recorded as such; a longer one counts as this.
const LONGEST: Duration = Duration::from_mins(1);
/// Significant digits of recorded latencies.
const DIGITS: u8 = 3;

/// Latencies of nanosecond resolution.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// Creates an empty histogram.
    ///
    /// # Errors
    /// Never: its bounds are constants.
    pub fn new() -> Result<Self> {
        let longest = u64::try_from(LONGEST.as_nanos())?;
        Ok(Self(Histogram::new_with_bounds(1, longest, DIGITS).context("a histogram")?))
    }

    /// Records one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all latencies of another histogram.
    ///
    /// # Errors
    /// Never: all have the same bounds.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("add two histograms")
    }

    /// Returns the latency that this percentage of all does not exceed, in seconds.
    #[must_use]
    pub fn percentile(&self, percentage: f64) -> f64 {
        self.0.value_at_percentile(percentage) as f64 / 1e9
    }

    /// Returns the number of recorded latencies.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}
