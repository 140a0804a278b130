//! Errors of requests in words, and a log that does not repeat itself.

use std::error::Error;
use std::time::{Duration, Instant};

use kube::runtime::watcher;

use crate::leadership::NotLeading;

/// A failure is logged again when it has lasted this long.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(60);

/// Logs the failures of one kind of request: the first, and then one a minute.
#[derive(Debug)]
pub struct Log {
    /// What comes of it.
    consequence: &'static str,
    told: Option<Instant>,
    /// Failures that were not logged since.
    left_out: u64,
}

impl Log {
    /// A log without failures. `consequence` says what comes of one.
    pub const fn new(consequence: &'static str) -> Self {
        Self { consequence, told: None, left_out: 0 }
    }

    /// A request succeeded: the next failure is news.
    pub fn succeeded(&mut self) {
        (self.told, self.left_out) = (None, 0);
    }

    /// A watch of a kind failed.
    pub fn watch_failed(&mut self, kind: &str, error: &watcher::Error) {
        match error {
            watcher::Error::InitialListFailed(error) => self.failed(&format!("list {kind}"), error),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                self.failed(&format!("watch {kind}"), error);
            }
            watcher::Error::WatchError(status) => {
                self.failed(&format!("watch {kind}"), &kube::Error::Api(status.clone()));
            }
            watcher::Error::NoResourceVersion => {
                tracing::warn!("cannot watch {kind}: the server lists it without a resource version");
            }
        }
    }

    /// A request failed. `task` is what was to be done with which object.
    pub fn failed(&mut self, task: &str, error: &kube::Error) {
        let consequence = self.consequence;
        let words = words(error);
        // Logged once for the whole process.
        if is_transport(error) {
            tracing::debug!("cannot {task}: {words}; {consequence}, retrying");
            return;
        }
        if self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            self.left_out += 1;
            return;
        }
        let failures = std::mem::take(&mut self.left_out) + 1;
        self.told = Some(Instant::now());
        tracing::warn!(failures, "cannot {task}: {words}; {consequence}, retrying");
    }
}

/// The error in words: what a server said, or why it said nothing.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        kube::Error::Service(error) => chain(error.as_ref()),
        error => chain(error),
    }
}

/// Whether there was no answer, which is a matter of the server and not of the request.
pub fn is_transport(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_))
}

/// An error and its causes, without those that say nothing new.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !words.contains(&next) {
            words = format!("{words}: {next}");
        }
        cause = error.source();
    }
    words
}

/// Whether it was this process that did not send.
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
    #[error("{words}")]
    struct Layer {
        words: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(words: &[&'static str]) -> Option<Box<Layer>> {
        let (first, rest) = words.split_first()?;
        Some(Box::new(Layer { words: first, source: layers(rest) }))
    }

    #[test]
    fn causes_are_said_once() {
        let error =
            layers(&["cannot reach https://10.0.0.1:6443", "client error (Connect)", "refused", "refused"]);
        let expected = "cannot reach https://10.0.0.1:6443: client error (Connect): refused";
        assert_eq!(chain(error.expect("a layer").as_ref()), expected);
    }

    #[test]
    fn what_a_server_refuses_is_said_with_its_reason() {
        let status = kube::core::Status::failure("pods \"a\" is forbidden", "Forbidden").with_code(403);
        assert_eq!(words(&kube::Error::Api(status.boxed())), "pods \"a\" is forbidden (403 Forbidden)");
    }
}
