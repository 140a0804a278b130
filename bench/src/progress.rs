//! Progress on standard error.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Creates a bar of this many steps; without a terminal it prints a line at the start.
pub fn bar(what: &str, steps: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        eprintln!("{what}: {steps} steps");
    }
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len} {elapsed}, {eta} left {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(what.to_owned())
}

/// Shows the name of the next step.
pub fn step(bar: &ProgressBar, name: &str) {
    bar.set_message(name.to_owned());
    bar.inc(1);
}
