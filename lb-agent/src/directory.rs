//! Objects out of a directory of YAML files, for machines without Kubernetes.
//!
//! A changed file takes effect at once. What cannot be read keeps what it was: an object that has become
//! wrong stays as it was last right, and so do all objects of a file whose YAML has broken.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use inotify::{Event, EventMask, EventStream, Inotify, WatchMask};
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{ObjectRef, Problem};

use crate::snapshot::{self, Snapshot};

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
    unread: Unread,
    /// Whether a file has been written, perhaps not to its end, or taken away, perhaps to be put back.
    is_unsettled: bool,
}

/// What is held of a file.
#[derive(Clone, Debug, Default)]
struct File {
    text: String,
    objects: Vec<Arc<Sourced<Object>>>,
    problems: Vec<Problem>,
}

/// Which files may hold something else than what was read.
#[derive(Debug, PartialEq, Eq)]
enum Unread {
    /// Any.
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
}

impl Unread {
    /// Takes in what has happened to a name; `None` where nobody knows to which.
    fn note(&mut self, name: Option<&str>) {
        match (name, &mut *self) {
            // The kubelet shows a ConfigMap's files through links, and exchanges a directory behind them.
            (None, _) => *self = Self::All,
            (Some(name), _) if name.starts_with("..") => *self = Self::All,
            (Some(name), Self::Named(names)) if is_source(name) => {
                names.insert(name.to_owned());
            }
            (Some(_), _) => {}
        }
    }
}

/// Whether a file of this name holds objects. A hidden one does not: it may be half written.
fn is_source(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    !name.starts_with('.') && extension.is_some_and(|it| matches!(it, "yaml" | "yml" | "json"))
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
        Ok(Self {
            path: path.to_path_buf(),
            events,
            files: BTreeMap::new(),
            unread: Unread::All,
            is_unsettled: false,
        })
    }

    /// Waits for a change of any file.
    pub async fn changed(&mut self) {
        loop {
            let Some(event) = self.events.next().await else {
                // The stream of a watch does not end; should it, then nothing can be waited for.
                return std::future::pending::<()>().await;
            };
            self.note(event);
            if self.unread != Unread::Named(BTreeSet::new()) {
                return;
            }
        }
    }

    /// Whether what has happened up to now may be half of a change. A file that is renamed into its place is whole;
    /// one that is written may not be, and one that is gone may be about to be replaced.
    pub fn is_unsettled(&mut self) -> bool {
        self.note_all();
        self.is_unsettled
    }

    fn note_all(&mut self) {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            self.note(event);
        }
    }

    fn note(&mut self, event: io::Result<Event<OsString>>) {
        // A queue that has overflown is told of without a name.
        let (mask, name) = event.map_or((EventMask::empty(), None), |event| (event.mask, event.name));
        let name = name.as_deref().and_then(OsStr::to_str);
        let half = EventMask::CREATE | EventMask::MODIFY | EventMask::DELETE | EventMask::MOVED_FROM;
        self.is_unsettled |= mask.intersects(half) && name.is_some_and(is_source);
        self.unread.note(name);
    }

    /// Reads the files that have changed.
    ///
    /// # Errors
    /// When the directory or a file cannot be read; what was read before is kept.
    pub fn read(&mut self) -> Result<Snapshot, DirectoryError> {
        // A file that is written makes many events; what has happened up to here is about to be read.
        self.note_all();
        let names = match &self.unread {
            Unread::All => self.names()?,
            Unread::Named(names) => names.clone(),
        };
        if self.unread == Unread::All {
            self.files.retain(|name, _| names.contains(name));
        }
        names.into_iter().try_for_each(|name| self.read_file(name))?;
        self.unread = Unread::Named(BTreeSet::new());
        self.is_unsettled = false;
        Ok(self.snapshot())
    }

    fn read_file(&mut self, name: String) -> Result<(), DirectoryError> {
        let path = self.path.join(&name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.files.remove(&name);
                return Ok(());
            }
            Err(source) => return Err(DirectoryError::Read { path, source }),
        };
        let file = self.files.entry(name.clone()).or_default();
        if file.text != text || (file.objects.is_empty() && file.problems.is_empty()) {
            *file = reread(&name, text, file);
        }
        Ok(())
    }

    fn names(&self) -> Result<BTreeSet<String>, DirectoryError> {
        let error = |source| DirectoryError::Read { path: self.path.clone(), source };
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(&self.path).map_err(error)? {
            let name = entry.map_err(error)?.file_name();
            names.extend(name.to_str().filter(|name| is_source(name)).map(str::to_owned));
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

/// What a file holds now, with what it held before in the place of what has become unreadable. An object that is what
/// it was is the same value.
fn reread(name: &str, text: String, before: &File) -> File {
    let (read, mut problems) = objects::parse(name, &text);
    let mut known: BTreeMap<ObjectRef, &Arc<Sourced<Object>>> =
        before.objects.iter().map(|object| (object.value.reference(), object)).collect();
    let mut objects = Vec::new();
    for object in read {
        let same = known.remove(&object.value.reference()).filter(|old| ***old == object);
        objects.push(same.map_or_else(|| Arc::new(object), Arc::clone));
    }
    // What is left of those before is not there now, or cannot be read.
    let unnamed = problems.iter().any(|problem| problem.object.is_none());
    let wrong: BTreeSet<_> = problems.iter().filter_map(|problem| problem.object.clone()).collect();
    // One that cannot be read may name no namespace.
    let is_wrong = |old: &ObjectRef| {
        wrong.contains(old) || wrong.contains(&ObjectRef { namespace: None, ..old.clone() })
    };
    for (_, object) in known.into_iter().filter(|(reference, _)| unnamed || is_wrong(reference)) {
        problems.extend(snapshot::staying(object));
        objects.push(Arc::clone(object));
    }
    File { text, objects, problems }
}

#[cfg(test)]
mod tests;
