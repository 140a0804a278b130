//! Objects from a directory of YAML files, for machines without Kubernetes.
//!
//! A thread watches the directory, reads files and parses them, so no other thread waits for a disk. A
//! changed file takes effect at once. An object that has become invalid keeps its last valid version. So do
//! all objects of a file that cannot be read, is being written, or is not valid YAML; and all objects while
//! the directory itself is missing.

mod files;
mod inotify;
mod read_file;
mod read_lease;
mod watcher;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::watch as latest;

pub use self::read_file::read_once;
use self::watcher::DirectoryWatcher;
use crate::snapshot::Snapshot;

/// A directory cannot be used as a source.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The directory cannot be watched.
    #[error("cannot watch {}: {source}; set --source to a directory of YAML files", .path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The thread cannot be spawned.
    #[error("cannot spawn a thread to read {}: {source}", .path.display())]
    Thread {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A watched directory, and the snapshot last read from it.
#[derive(Debug)]
pub struct Directory {
    latest: latest::Receiver<Option<Snapshot>>,
}

impl Directory {
    /// Starts to watch and read a directory.
    ///
    /// # Errors
    /// If the directory does not exist or cannot be watched.
    pub fn watch(path: &Path) -> Result<Self, DirectoryError> {
        let (publish, latest) = latest::channel(None);
        let watch = |source| DirectoryError::Watch { path: path.to_path_buf(), source };
        let watcher = DirectoryWatcher::start(path, publish).map_err(watch)?;
        let thread = thread::Builder::new().name("directory".into()).spawn(move || watcher.run());
        thread.map_err(|source| DirectoryError::Thread { path: path.to_path_buf(), source })?;
        Ok(Self { latest })
    }

    /// Waits for a change of any object or problem.
    pub async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            // The thread ends only when this is dropped.
            std::future::pending::<()>().await;
        }
    }

    /// Returns the last snapshot; `None` until the directory has been read.
    pub fn read(&mut self) -> Option<Snapshot> {
        self.latest.borrow_and_update().clone()
    }
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod tests;
