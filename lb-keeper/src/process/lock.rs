//! The lock beside the socket, which makes one keeper at a time listen on it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::channel::Listener;
use super::KeeperError;

/// Interval of attempts.
const INTERVAL: Duration = Duration::from_millis(100);

/// The lock, held until it is dropped. The file stays: removing it would let two keepers lock two files.
#[derive(Debug)]
pub(super) struct SocketLock(#[expect(dead_code, reason = "closing it releases the lock")] File);

impl SocketLock {
    /// Waits for the lock. `None` if `stop` is readable before, or another keeper has the lock and `waits` is
    /// false.
    ///
    /// # Errors
    /// If there can be no lock.
    pub(super) fn acquire(socket: &Path, waits: bool, stop: &impl AsFd) -> Result<Option<Self>, KeeperError> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let error = |source| KeeperError::Lock { path: path.clone(), source };
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(error)?;
        let mut is_logged = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) if waits => {}
                Err(TryLockError::WouldBlock) => {
                    tracing::info!(lock = %path.display(), "another keeper is running");
                    return Ok(None);
                }
                Err(TryLockError::Error(source)) => return Err(error(source)),
            }
            if !is_logged {
                is_logged = true;
                tracing::info!(lock = %path.display(), "waiting until another keeper has stopped");
            }
            let timeout = PollTimeout::try_from(INTERVAL).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(stop.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Ok(None),
                Err(error) => return Err(KeeperError::Wait(error.into())),
            }
        }
    }
}

/// The file of the listening socket. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next keeper removes it otherwise.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens on the path, whose lock this process has: a socket that exists is one that a killed keeper left.
pub(super) fn listen(path: &Path) -> io::Result<(Listener, SocketFile)> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = Listener::bind(path)?;
    Ok((listener, SocketFile(path.to_path_buf())))
}
