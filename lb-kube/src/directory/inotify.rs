//! Inotify watches of the directory and of its path.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The watches of the directory that a path leads to, and of the path's parent directory.
pub(super) struct PathWatches {
    path: PathBuf,
    inotify: Inotify,
    directory: Option<WatchDescriptor>,
    parent: Option<WatchDescriptor>,
    /// Device and inode of the watched directory.
    identity: Option<(u64, u64)>,
}

/// Events since the last drain.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileEvents {
    /// Files with events; true if the last event says that the file is complete.
    pub(super) names: BTreeMap<String, bool>,
    /// Any file may have changed.
    pub(super) all: bool,
    /// The path may lead to another directory now.
    pub(super) path: bool,
}

/// Returns whether a file of this name contains objects. Hidden files do not count: they may be incomplete.
pub(super) fn is_object_file(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    !name.starts_with('.') && extension.is_some_and(|it| matches!(it, "yaml" | "yml" | "json"))
}

fn watch_mask() -> WatchMask {
    WatchMask::ATTRIB
        | WatchMask::CLOSE_WRITE
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::MODIFY
        | WatchMask::MOVE
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR
}

impl PathWatches {
    /// Starts to watch a path.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let mut watches = Self {
            path: path.to_path_buf(),
            inotify: Inotify::init()?,
            directory: None,
            parent: None,
            identity: None,
        };
        watches.rewatch()?;
        Ok(watches)
    }

    /// Watches the directory that the path leads to now; returns whether it is another than before.
    pub(super) fn rewatch(&mut self) -> io::Result<bool> {
        self.watch_parent();
        let identity = identity(&self.path)?;
        if self.identity == Some(identity) && self.directory.is_some() {
            return Ok(false);
        }
        if let Some(before) = self.directory.take() {
            // The watch of a deleted directory no longer exists.
            let _ = self.inotify.watches().remove(before);
        }
        self.identity = None;
        let directory = self.inotify.watches().add(&self.path, watch_mask())?;
        self.directory = Some(directory);
        // The watched directory is this one only if the path led to it before and after.
        let is_same = self::identity(&self.path)? == identity;
        self.identity = is_same.then_some(identity);
        Ok(true)
    }

    /// Watches the parent directory. Directories further up may change, too; periodic checks of the path find
    /// that.
    fn watch_parent(&mut self) {
        let parent = match self.path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return,
        };
        // MASK_ADD: a directory has one watch, and the parent may be the watched directory itself.
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE;
        let mask = mask | WatchMask::MASK_ADD | WatchMask::ONLYDIR;
        self.parent = self.inotify.watches().add(parent, mask).ok();
    }

    /// Waits for an event, at most this long.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<()> {
        // Round up: otherwise the last fraction of a millisecond would be a busy loop.
        let timeout = PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads pending events; returns whether there were any.
    pub(super) fn drain(&mut self, seen: &mut FileEvents) -> bool {
        let mut buffer = [0; 4096];
        let mut is_any = false;
        // An empty queue is an error, too; after any other error the periodic checks find changes.
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            for event in events {
                is_any |= record(
                    seen,
                    event.mask,
                    event.name,
                    Some(&event.wd) == self.directory.as_ref(),
                    self.path.file_name(),
                );
                if event.mask.contains(EventMask::IGNORED) && Some(&event.wd) == self.directory.as_ref() {
                    self.directory = None;
                }
            }
        }
        is_any
    }
}

/// Records an event of the directory or its parent; returns whether it is relevant.
fn record(
    seen: &mut FileEvents,
    mask: EventMask,
    name: Option<&OsStr>,
    is_inside: bool,
    own_name: Option<&OsStr>,
) -> bool {
    if mask.contains(EventMask::Q_OVERFLOW) {
        (seen.all, seen.path) = (true, true);
        return true;
    }
    if !is_inside {
        let is_own = name.is_some() && name == own_name;
        seen.path |= is_own;
        return is_own;
    }
    let Some(name) = name else {
        seen.path = true;
        return true;
    };
    let Some(name) = name.to_str() else { return false };
    if name.starts_with("..") {
        // The kubelet presents a ConfigMap's files as links, and replaces the directory behind them.
        seen.all = true;
        return true;
    }
    if is_object_file(name) {
        let is_complete = mask.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO);
        seen.names.insert(name.to_owned(), is_complete);
        return true;
    }
    false
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        Ok((metadata.dev(), metadata.ino()))
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[(EventMask, Option<&str>, bool)]) -> FileEvents {
        let mut seen = FileEvents::default();
        for (mask, name, is_inside) in events {
            record(&mut seen, *mask, name.map(OsStr::new), *is_inside, Some(OsStr::new("objects")));
        }
        seen
    }

    #[test]
    fn the_last_event_says_whether_a_file_is_complete() {
        let inside = |mask, name| (mask, Some(name), true);
        let seen = after(&[
            inside(EventMask::CREATE, "a.yaml"),
            inside(EventMask::CLOSE_WRITE, "a.yaml"),
            inside(EventMask::MOVED_TO, "b.json"),
            inside(EventMask::MODIFY, "b.json"),
            inside(EventMask::CLOSE_WRITE, ".a.yaml"),
            inside(EventMask::CLOSE_WRITE, "a.txt"),
        ]);
        let names = [("a.yaml".to_owned(), true), ("b.json".to_owned(), false)];
        assert_eq!(seen, FileEvents { names: names.into(), all: false, path: false });
    }

    #[test]
    fn an_event_without_a_known_file_concerns_all_files() {
        let all = FileEvents { all: true, ..FileEvents::default() };
        assert_eq!(after(&[(EventMask::MOVED_TO, Some("..data"), true)]), all);
        assert_eq!(after(&[(EventMask::Q_OVERFLOW, None, false)]), FileEvents { path: true, ..all });
        let path = FileEvents { path: true, ..FileEvents::default() };
        assert_eq!(after(&[(EventMask::DELETE_SELF, None, true)]), path);
        assert_eq!(after(&[(EventMask::MOVED_TO, Some("objects"), false)]), path);
        assert_eq!(after(&[(EventMask::MOVED_TO, Some("other.yaml"), false)]), FileEvents::default());
    }
}
