//! File descriptors: raises the limit and divides it, so that no HTTP client takes what BGP sessions need.

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Of all descriptors, one in so many is for the connections of one HTTP server. An agent has two servers and a
/// controller has two, so three quarters stay for sessions, maps, netlink and the API server.
const SHARE: u64 = 8;
/// Connections that every server takes, however low the limit is.
const LEAST: usize = 8;
/// First and longest pause after the kernel could not hand out a connection.
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
            tracing::warn!(%error, soft, hard, "cannot raise the limit on open files; it stays as it is");
            soft
        }
    }
}

/// Connections that one HTTP server may hold at once when `limit` files may be open.
pub fn share(limit: u64, wanted: usize) -> usize {
    let share = usize::try_from(limit / SHARE).unwrap_or(usize::MAX);
    wanted.min(share).max(LEAST)
}

/// What to do when `accept` fails: a pause that grows while it keeps failing, and one line in the log.
#[derive(Debug, Default)]
pub struct AcceptErrors {
    failed: u32,
}

impl AcceptErrors {
    /// A connection has been accepted.
    pub fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// How long to wait before the next attempt. `what` names the listener in the log.
    pub fn failed(&mut self, what: &str, error: &io::Error) -> Duration {
        // The client has gone again: the next one is no worse for it.
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
    fn a_server_takes_what_it_asks_for_but_never_more_than_its_share() {
        assert_eq!(share(1 << 20, 256), 256);
        assert_eq!(share(1024, 256), 128);
        assert_eq!(share(20, 256), LEAST, "health is answered under any limit");
        assert_eq!(share(u64::MAX, usize::MAX), (u64::MAX / SHARE) as usize);
    }

    #[test]
    fn the_limit_in_force_is_the_hard_one() {
        let limit = raise();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (limit, limit));
    }

    #[test]
    fn failures_to_accept_pause_for_longer_and_longer_but_not_for_ever() {
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
