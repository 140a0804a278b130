//! Objects out of a directory of YAML files, for machines without Kubernetes.
//!
//! A changed file takes effect at once. What cannot be read keeps what it was: an object that has become
//! wrong stays as it was last right, and so do all objects of a file whose YAML has broken.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use futures::{FutureExt, StreamExt};
use inotify::{EventStream, Inotify, WatchMask};
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::Problem;

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
    /// It cannot be read.
    #[error("cannot read {}: {source}; what was read before stays in force", .path.display())]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A watched directory and what was last read from it.
pub struct Directory {
    path: PathBuf,
    events: EventStream<[u8; 4096]>,
    files: BTreeMap<String, File>,
}

/// What is held of a file.
#[derive(Clone, Debug, Default)]
struct File {
    text: String,
    objects: Vec<Sourced<Object>>,
    problems: Vec<Problem>,
}

impl Directory {
    /// Starts to watch; nothing is read yet.
    ///
    /// # Errors
    /// When the directory is not there or cannot be watched.
    pub fn watch(path: &Path) -> Result<Self, DirectoryError> {
        let error = |source| DirectoryError::Watch { path: path.to_path_buf(), source };
        let inotify = Inotify::init().map_err(error)?;
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MODIFY
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::ONLYDIR;
        inotify.watches().add(path, mask).map_err(error)?;
        let events = inotify.into_event_stream([0; 4096]).map_err(error)?;
        Ok(Self { path: path.to_path_buf(), events, files: BTreeMap::new() })
    }

    /// Waits for a change of any file.
    pub async fn changed(&mut self) {
        if self.events.next().await.is_none() {
            // The stream of a watch does not end; should it, then nothing can be waited for.
            std::future::pending::<()>().await;
        }
    }

    /// Reads all files; those that have not changed are not parsed again.
    ///
    /// # Errors
    /// When the directory itself cannot be read; what was read before is kept.
    pub fn read(&mut self) -> Result<Snapshot, DirectoryError> {
        // A file that is written makes many events; what has happened up to here is about to be read.
        while self.events.next().now_or_never().flatten().is_some() {}
        let names = self.names()?;
        self.files.retain(|name, _| names.contains_key(name));
        for (name, path) in names {
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                // Gone since the directory was listed: the event for that is on its way.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(DirectoryError::Read { path, source }),
            };
            let file = self.files.entry(name.clone()).or_default();
            if file.text != text || (file.objects.is_empty() && file.problems.is_empty()) {
                *file = reread(&name, text, file);
            }
        }
        Ok(self.snapshot())
    }

    fn names(&self) -> Result<BTreeMap<String, PathBuf>, DirectoryError> {
        let error = |source| DirectoryError::Read { path: self.path.clone(), source };
        let mut names = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path).map_err(error)? {
            let path = entry.map_err(error)?.path();
            let yaml = path
                .extension()
                .and_then(|e| e.to_str())
                .is_some_and(|e| matches!(e, "yaml" | "yml" | "json"));
            if let Some(name) =
                path.file_name().and_then(|n| n.to_str()).filter(|n| yaml && !n.starts_with('.'))
            {
                names.insert(name.to_owned(), path.clone());
            }
        }
        Ok(names)
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for file in self.files.values() {
            snapshot.objects.extend(file.objects.iter().cloned());
            snapshot.problems.extend(file.problems.iter().cloned());
        }
        snapshot
    }
}

/// What a file holds now, with what it held before in the place of what has become unreadable.
fn reread(name: &str, text: String, before: &File) -> File {
    let (mut objects, problems) = objects::parse(name, &text);
    let unnamed = problems.iter().any(|problem| problem.object.is_none());
    for old in &before.objects {
        let reference = old.value.reference();
        let now_wrong = problems.iter().any(|p| p.object.as_ref() == Some(&reference));
        let now_there = objects.iter().any(|o| o.value.reference() == reference);
        if (unnamed || now_wrong) && !now_there {
            objects.push(old.clone());
        }
    }
    File { text, objects, problems }
}
