//! The progress of a measurement, on the terminal.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Steps of the bar.
const STEPS: u64 = 1000;

/// A bar that says what is measured.
pub(crate) struct MeasurementProgress(ProgressBar);

impl MeasurementProgress {
    /// Shows an empty bar; nothing if the standard error is no terminal.
    pub(crate) fn new() -> Result<Self> {
        let bar = ProgressBar::new(STEPS);
        bar.set_style(ProgressStyle::with_template("{msg:32} {wide_bar} {percent:>3} %  {elapsed}")?);
        Ok(Self(bar))
    }

    /// Shows the share that is done, and what is measured next.
    pub(crate) fn show(&self, share: f64, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.set_position((share * STEPS as f64) as u64);
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
