//! The log of failed requests, with a limited rate.

use std::error::Error;
use std::time::{Duration, Instant};

use kube::runtime::watcher;

use crate::leadership::NotLeading;

/// Minimum time between two log lines about the same kind of failure.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Logs the failures of one kind of request: the first, then at most one per minute.
#[derive(Debug)]
pub struct ErrorLog {
    /// The consequence of a failure.
    consequence: &'static str,
    logged_at: Option<Instant>,
    /// Failures since then that were not logged.
    suppressed: u64,
}

impl ErrorLog {
    /// Creates a log; `consequence` is the consequence of a failure, which is logged with it.
    pub const fn new(consequence: &'static str) -> Self {
        Self { consequence, logged_at: None, suppressed: 0 }
    }

    /// Notes that a request succeeded: the next failure is logged.
    pub fn succeeded(&mut self) {
        (self.logged_at, self.suppressed) = (None, 0);
    }

    /// Logs that a watch of a kind failed.
    pub(crate) fn watch_failed(&mut self, kind: &str, error: &watcher::Error) {
        match error {
            watcher::Error::InitialListFailed(error) => self.failed(&format!("list {kind}"), error),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                self.failed(&format!("watch {kind}"), error);
            }
            watcher::Error::WatchError(status) => {
                self.failed(&format!("watch {kind}"), &kube::Error::Api(status.clone()));
            }
            watcher::Error::NoResourceVersion => {
                tracing::warn!("cannot watch {kind}: the server's list has no resource version");
            }
        }
    }

    /// Logs that a request failed. `task` is what it was to do, and on which object: "read Secret a".
    pub fn failed(&mut self, task: &str, error: &kube::Error) {
        let consequence = self.consequence;
        let error_text = describe(error);
        // The transport logs it, once for all requests to the server.
        if is_transport(error) {
            tracing::debug!("cannot {task}: {error_text}; {consequence}; retrying");
            return;
        }
        if self.logged_at.is_some_and(|logged_at| logged_at.elapsed() < LOG_INTERVAL) {
            self.suppressed += 1;
            return;
        }
        let failures = std::mem::take(&mut self.suppressed) + 1;
        self.logged_at = Some(Instant::now());
        tracing::warn!(failures, "cannot {task}: {error_text}; {consequence}; retrying");
    }
}

/// Describes an error: the server's message, or why there is none.
pub fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        kube::Error::Service(error) => with_causes(error.as_ref()),
        error => with_causes(error),
    }
}

/// Returns whether there was no response, which is an error of the server or network, not of the request.
fn is_transport(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_))
}

/// Formats an error and its causes, without repetitions.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Returns whether the request was not sent because this process does not lead.
pub fn is_not_leading(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<NotLeading>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Option<Box<Layer>> {
        let (first, rest) = texts.split_first()?;
        Some(Box::new(Layer { text: first, source: layers(rest) }))
    }

    #[test]
    fn causes_are_not_repeated() {
        let error =
            layers(&["cannot reach https://10.0.0.1:6443", "client error (Connect)", "refused", "refused"]);
        let expected = "cannot reach https://10.0.0.1:6443: client error (Connect): refused";
        assert_eq!(with_causes(error.expect("a layer").as_ref()), expected);
    }

    #[test]
    fn an_api_error_is_described_with_code_and_reason() {
        let status = kube::core::Status::failure("pods \"a\" is forbidden", "Forbidden").with_code(403);
        assert_eq!(describe(&kube::Error::Api(status.boxed())), "pods \"a\" is forbidden (403 Forbidden)");
    }
}
