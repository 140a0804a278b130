//! Settings and backoff shared by all watches of the API server.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher;

/// Timeout after which the server ends a watch, which is then restarted.
pub(crate) const TIMEOUT_SECONDS: u32 = 290;

/// The longest delay of a [`WatchBackoff`].
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The backoff of failed watches: kube-rs's default, capped at a few seconds, because a change must not wait
/// longer once the server is back. The first delays are randomized, so that the nodes of a cluster do not
/// reconnect at once.
#[derive(Default)]
pub(crate) struct WatchBackoff(watcher::DefaultBackoff);

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next()?.min(MAX_DELAY))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Returns whether the server answered that it does not define the kind.
pub(crate) fn is_undefined(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(source) | watcher::Error::WatchStartFailed(source)) = error else {
        return false;
    };
    matches!(source, kube::Error::Api(status) if status.code == 404)
}
