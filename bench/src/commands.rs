//! The commands of the binary: arguments, progress, output.

pub(crate) mod churn;
pub(crate) mod compare;
pub(crate) mod control;
pub(crate) mod dashboard;
pub(crate) mod failover;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod packet;
mod progress;
pub(crate) mod report;
pub(crate) mod routers;
pub(crate) mod scale;
pub(crate) mod simulate;
pub(crate) mod whole;

use indicatif::{ProgressBar, ProgressStyle};

/// Replaces a default by what was named, if anything was.
fn replace<T>(default: &mut Vec<T>, named: Vec<T>) {
    if !named.is_empty() {
        *default = named;
    }
}

/// Shows the name of the next step.
fn step(progress: &ProgressBar, name: &str) {
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg} {elapsed}") {
        progress.set_style(style);
    }
    progress.set_message(name.to_owned());
    progress.inc(1);
}
