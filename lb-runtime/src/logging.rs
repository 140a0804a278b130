//! The log of a process: its format, its filter, and another filter for a while.
//!
//! A process has one log, so its control is global: [`init`] sets it up once, and [`control`] returns it.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// The environment variable with the filter, unless a flag sets one.
const VARIABLE: &str = "RUST_LOG";
/// The longest time for which another filter is in force.
pub const MAX_SECONDS: u64 = 24 * 3600;

static CONTROL: OnceLock<LogControl> = OnceLock::new();

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines of text.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Which lines are logged: a level, or levels by target, as in `lb_speaker=debug,info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// Why a filter is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no log filter: use error, warn, info, debug, trace or off, for one part of the program as in lb_speaker=debug,info"
)]
pub struct FilterError(String);

impl FromStr for LogFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let error = || FilterError(text.to_owned());
        // The library takes a word that is no level for a target, and then logs nothing else.
        let is_level = |level: &str| !level.is_empty() && level.parse::<LevelFilter>().is_ok();
        let is_directive = |part: &str| match part.split_once('=') {
            Some((target, level)) => !target.is_empty() && is_level(level),
            None => is_level(part) && part.parse::<usize>().is_err(),
        };
        if text.split(',').all(is_directive) && EnvFilter::try_new(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(error())
        }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The filter of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevel {
    /// The filter in force.
    pub filter: String,
    /// The filter that the process started with.
    pub initial: String,
    /// Seconds until the filter is that again; `None` if it stays.
    pub returns_in: Option<u64>,
}

/// A request for another filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevelRequest {
    /// The filter.
    pub filter: String,
    /// Seconds after which the initial filter is in force again; `None`: it stays until the process ends.
    pub seconds: Option<u64>,
}

/// Why a filter cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum LogLevelError {
    /// It is invalid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The time is out of bounds.
    #[error("a log filter can be in force from 1 to {MAX_SECONDS} s, not {0} s")]
    Seconds(u64),
    /// This process has another log.
    #[error("the log of this process cannot be changed")]
    NoControl,
}

/// Changes the filter of a process.
pub struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
    initial: LogFilter,
    current: Mutex<CurrentFilter>,
}

#[derive(Debug)]
struct CurrentFilter {
    filter: LogFilter,
    returns_at: Option<Instant>,
    /// Counts changes, so that a return does not undo a later one.
    changes: u64,
}

/// Logs to standard error. Of several filters the first counts: the flag's, the environment's, the default.
pub fn init(flag: Option<LogFilter>, default: &str, format: LogFormat) {
    let environment = || std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let text = flag.map_or_else(|| environment().unwrap_or_else(|| default.to_owned()), |filter| filter.0);
    // The environment may have a filter in the library's full syntax.
    let filter = EnvFilter::try_new(&text);
    let (filter, text) =
        filter.map_or_else(|_| (EnvFilter::new(default), default.to_owned()), |it| (it, text));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    let initial = LogFilter(text);
    let current = CurrentFilter { filter: initial.clone(), returns_at: None, changes: 0 };
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = CONTROL.set(LogControl { handle, initial, current: Mutex::new(current) });
    }
}

/// Returns the control of this process's log.
///
/// # Errors
/// When [`init`] has not set up the log.
pub fn control() -> Result<&'static LogControl, LogLevelError> {
    CONTROL.get().ok_or(LogLevelError::NoControl)
}

impl LogControl {
    /// Returns the filter.
    pub fn level(&self) -> LogLevel {
        let current = self.current();
        let left = |at: Instant| at.saturating_duration_since(Instant::now()).as_secs_f64().ceil() as u64;
        LogLevel {
            filter: current.filter.to_string(),
            initial: self.initial.to_string(),
            returns_in: current.returns_at.map(left),
        }
    }

    /// Puts another filter in force. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the filter or the time is invalid; then nothing has changed.
    pub fn set(&'static self, request: &LogLevelRequest) -> Result<LogLevel, LogLevelError> {
        let filter: LogFilter = request.filter.parse()?;
        if let Some(seconds) = request.seconds.filter(|seconds| !(1..=MAX_SECONDS).contains(seconds)) {
            return Err(LogLevelError::Seconds(seconds));
        }
        let time = request.seconds.map(Duration::from_secs);
        let change = self.change(filter, time.map(|time| Instant::now() + time))?;
        if let Some(time) = time {
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                if self.current().changes == change {
                    let _ = self.change(self.initial.clone(), None);
                }
            });
        }
        Ok(self.level())
    }

    fn change(&self, filter: LogFilter, returns_at: Option<Instant>) -> Result<u64, LogLevelError> {
        let mut current = self.current();
        let parsed = EnvFilter::try_new(&filter.0).map_err(|_| FilterError(filter.0.clone()))?;
        // The change is logged by the filter that shows it.
        let shows = parsed.max_level_hint().is_none_or(|level| level >= LevelFilter::INFO);
        let log = || tracing::info!(from = %current.filter, to = %filter, "changing the log filter");
        if !shows {
            log();
        }
        self.handle.reload(parsed).map_err(|_| LogLevelError::NoControl)?;
        if shows {
            log();
        }
        let changes = current.changes + 1;
        *current = CurrentFilter { filter, returns_at, changes };
        Ok(changes)
    }

    fn current(&self) -> MutexGuard<'_, CurrentFilter> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_of_parts() {
        for text in ["info", "off", "DEBUG", "lb_speaker=debug", "lb_speaker::bfd=trace,warn"] {
            assert_eq!(text.parse::<LogFilter>().map(|it| it.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for text in ["", "inf", "verbose", "lb_speaker", "=debug", "lb_speaker=loud", "info,", "3"] {
            assert_eq!(text.parse::<LogFilter>(), Err(FilterError(text.to_owned())), "{text}");
        }
    }
}
