//! Limits on open files, divided so that HTTP clients cannot exhaust the descriptors that BGP sessions need.

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The connections of one HTTP server use at most this fraction (1/n) of all descriptors. The agent and the
/// controller have two servers each, so three quarters remain for sessions, maps, netlink and the API server.
const SHARE: u64 = 8;
/// The minimum of connections that a server accepts, however low the limit is.
const LEAST: usize = 8;
/// The first and the longest pause after `accept` has failed.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Raises the soft limit on open files to the hard one and returns the limit in force.
pub fn raise() -> u64 {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (soft, hard) = match limits {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!(%error, "cannot read the limit on open files; assuming 1024");
            return 1024;
        }
    };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            tracing::warn!(%error, soft, hard, "cannot raise the limit on open files; keeping it");
            soft
        }
    }
}

/// Returns how many connections one HTTP server may hold when `limit` files may be open.
pub(crate) fn share(limit: u64, desired: usize) -> usize {
    let share = usize::try_from(limit / SHARE).unwrap_or(usize::MAX);
    desired.min(share).max(LEAST)
}

/// The response to failures of `accept`: a pause that grows with each failure in a row, and one log line.
#[derive(Debug, Default)]
pub struct AcceptErrors {
    failed: u32,
}

impl AcceptErrors {
    /// Notes that a connection has been accepted.
    pub fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// Returns how long to wait before the next attempt. `what` names the listener in the log.
    pub fn failed(&mut self, what: &str, error: &io::Error) -> Duration {
        // The client has disconnected, which does not affect the next one.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return Duration::ZERO;
        }
        if self.failed == 0 {
            tracing::error!(
                %error,
                "cannot accept connections on {what}; retrying: raise the limit on open files (LimitNOFILE, ulimit -n) \
                 if it is exhausted"
            );
        }
        let pause = PAUSE.saturating_mul(1 << self.failed.min(8)).min(LONGEST_PAUSE);
        self.failed += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_the_connections_that_it_asks_for_up_to_its_share() {
        assert_eq!(share(1 << 20, 256), 256);
        assert_eq!(share(1024, 256), 128);
        assert_eq!(share(20, 256), LEAST, "health checks are answered under any limit");
        assert_eq!(share(u64::MAX, usize::MAX), (u64::MAX / SHARE) as usize);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_limit() {
        let limit = raise();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (limit, limit));
    }

    #[test]
    fn pauses_after_failures_grow_up_to_a_maximum() {
        let mut errors = AcceptErrors::default();
        let full = io::Error::from_raw_os_error(libc::EMFILE);
        let pauses: Vec<_> = (0..40).map(|_| errors.failed("a test", &full)).collect();
        assert_eq!((pauses[0], pauses[1]), (PAUSE, PAUSE * 2));
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        errors.succeeded();
        assert_eq!(errors.failed("a test", &full), PAUSE);
        let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(errors.failed("a test", &gone), Duration::ZERO);
    }
}
