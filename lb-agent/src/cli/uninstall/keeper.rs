//! The keeper of BGP sessions: a process that holds their sockets while no agent runs.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a keeper that holds nothing may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// The interval at which its end is checked.
const POLL: Duration = Duration::from_millis(50);

/// The reason why a keeper is left.
#[derive(Debug, thiserror::Error)]
pub enum KeeperEndError {
    /// It does not reply.
    #[error("the keeper on {} does not end the BGP sessions: {reason}; stop it, and run `fairlead uninstall` again", .path.display())]
    Refused {
        /// Its socket.
        path: PathBuf,
        /// The error of the connection.
        #[source]
        reason: io::Error,
    },
    /// It holds nothing any more, but stays.
    #[error(
        "a keeper still listens on {}: stop what keeps it running (on Kubernetes, delete the DaemonSet), and run `fairlead \
         uninstall` again",
        .0.display()
    )]
    Running(PathBuf),
}

/// Makes the keeper close the sessions that it holds, with an administrative shutdown, and waits until it has
/// ended. Returns false if there is none.
///
/// # Errors
/// See [`KeeperEndError`].
pub(super) fn end(socket: &Path) -> Result<bool, KeeperEndError> {
    let deadline = Instant::now() + ENDS_WITHIN;
    let mut was_there = false;
    loop {
        let is_there = lb_keeper::dismiss_all(socket, env!("CARGO_PKG_VERSION"))
            .map_err(|reason| KeeperEndError::Refused { path: socket.to_path_buf(), reason })?;
        if !is_there {
            return Ok(was_there);
        }
        was_there = true;
        if Instant::now() > deadline {
            return Err(KeeperEndError::Running(socket.to_path_buf()));
        }
        std::thread::sleep(POLL);
    }
}
