//! Objects out of a directory of YAML files, for machines without Kubernetes.
//!
//! A thread of its own observes the directory, reads files and parses them, so that nothing on a disk is waited for
//! elsewhere. A changed file takes effect at once. What cannot be read keeps what it was: an object that has become
//! invalid stays as it was last valid, and so do all objects of a file that cannot be read, that is being written, or
//! whose YAML has broken; and everything, while the directory itself is away.

mod files;
mod follower;
mod inotify;
mod read_file;
mod read_lease;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::watch as latest;

use self::follower::Follower;
pub use self::read_file::read_once;
use crate::snapshot::Snapshot;

/// Why a directory cannot be used as a source.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be watched.
    #[error("cannot watch {}: {source}; --source names a directory with YAML files", .path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no thread to read it.
    #[error("cannot start a thread that reads {}: {source}", .path.display())]
    Thread {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A watched directory and what was last read from it.
#[derive(Debug)]
pub struct Directory {
    latest: latest::Receiver<Option<Snapshot>>,
}

impl Directory {
    /// Starts to watch and to read.
    ///
    /// # Errors
    /// When the directory is not there or cannot be watched.
    pub fn watch(path: &Path) -> Result<Self, DirectoryError> {
        let (publish, latest) = latest::channel(None);
        let watch = |source| DirectoryError::Watch { path: path.to_path_buf(), source };
        let follower = Follower::start(path, publish).map_err(watch)?;
        let thread = thread::Builder::new().name("directory".into()).spawn(move || follower.run());
        thread.map_err(|source| DirectoryError::Thread { path: path.to_path_buf(), source })?;
        Ok(Self { latest })
    }

    /// Waits for a change of any object or problem.
    pub async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            // The thread ends only with this.
            std::future::pending::<()>().await;
        }
    }

    /// What was last read; `None` until there is something.
    pub fn read(&mut self) -> Option<Snapshot> {
        self.latest.borrow_and_update().clone()
    }
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod tests;
