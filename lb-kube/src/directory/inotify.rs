//! Inotify events of the directory and of its path.

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

/// Watches on the directory that a path leads to, and on what the path itself stands in.
pub(super) struct Watches {
    path: PathBuf,
    inotify: Inotify,
    directory: Option<WatchDescriptor>,
    parent: Option<WatchDescriptor>,
    /// Device and inode of the directory that is watched.
    identity: Option<(u64, u64)>,
}

/// What has happened since it was last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// Files that something has happened to; true where the last of it leaves a file whole.
    pub(super) names: BTreeMap<String, bool>,
    /// Something has happened to a file that is not known.
    pub(super) any: bool,
    /// The path may lead to another directory.
    pub(super) path: bool,
}

/// Whether a file of this name holds objects. A hidden one does not: it may be half written.
pub(super) fn is_source(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    !name.starts_with('.') && extension.is_some_and(|it| matches!(it, "yaml" | "yml" | "json"))
}

fn contents() -> WatchMask {
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

impl Watches {
    /// Starts to watch.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let mut watches = Self {
            path: path.to_path_buf(),
            inotify: Inotify::init()?,
            directory: None,
            parent: None,
            identity: None,
        };
        watches.follow()?;
        Ok(watches)
    }

    /// Watches the directory that the path leads to now; true where it is another one than before.
    pub(super) fn follow(&mut self) -> io::Result<bool> {
        self.follow_parent();
        let identity = identity(&self.path)?;
        if self.identity == Some(identity) && self.directory.is_some() {
            return Ok(false);
        }
        if let Some(before) = self.directory.take() {
            // Of a directory that is gone, the watch is gone, too.
            let _ = self.inotify.watches().remove(before);
        }
        self.identity = None;
        let directory = self.inotify.watches().add(&self.path, contents())?;
        self.directory = Some(directory);
        // Only if the path led there before and after is this the directory that is watched.
        let is_same = self::identity(&self.path)? == identity;
        self.identity = is_same.then_some(identity);
        Ok(true)
    }

    /// What stands above the directory may come and go, too; then the path is only looked at from time to time.
    fn follow_parent(&mut self) {
        let parent = match self.path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return,
        };
        // The same directory keeps its descriptor, and it may be the one that is watched.
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE;
        let mask = mask | WatchMask::MASK_ADD | WatchMask::ONLYDIR;
        self.parent = self.inotify.watches().add(parent, mask).ok();
    }

    /// Waits until something happens, at most this long.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<()> {
        // Rounded up, or what is left of a millisecond would be waited for in a busy loop.
        let timeout = PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes in what has happened; true where that is anything.
    pub(super) fn drain(&mut self, observed: &mut Observed) -> bool {
        let mut buffer = [0; 4096];
        let mut is_any = false;
        // An empty queue is an error, too; after any other one the periodic look finds what has changed.
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            for event in events {
                is_any |= note(
                    observed,
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

/// Takes in one event of the directory, or of what it stands in.
fn note(
    observed: &mut Observed,
    mask: EventMask,
    name: Option<&OsStr>,
    is_inside: bool,
    own_name: Option<&OsStr>,
) -> bool {
    if mask.contains(EventMask::Q_OVERFLOW) {
        (observed.any, observed.path) = (true, true);
        return true;
    }
    if !is_inside {
        let is_own = name.is_some() && name == own_name;
        observed.path |= is_own;
        return is_own;
    }
    let Some(name) = name else {
        observed.path = true;
        return true;
    };
    let Some(name) = name.to_str() else { return false };
    if name.starts_with("..") {
        // The kubelet shows a ConfigMap's files through links, and exchanges a directory behind them.
        observed.any = true;
        return true;
    }
    if is_source(name) {
        let is_whole = mask.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO);
        observed.names.insert(name.to_owned(), is_whole);
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

    fn after(events: &[(EventMask, Option<&str>, bool)]) -> Observed {
        let mut observed = Observed::default();
        for (mask, name, is_inside) in events {
            note(&mut observed, *mask, name.map(OsStr::new), *is_inside, Some(OsStr::new("objects")));
        }
        observed
    }

    #[test]
    fn a_file_is_whole_by_the_last_event() {
        let inside = |mask, name| (mask, Some(name), true);
        let observed = after(&[
            inside(EventMask::CREATE, "a.yaml"),
            inside(EventMask::CLOSE_WRITE, "a.yaml"),
            inside(EventMask::MOVED_TO, "b.json"),
            inside(EventMask::MODIFY, "b.json"),
            inside(EventMask::CLOSE_WRITE, ".a.yaml"),
            inside(EventMask::CLOSE_WRITE, "a.txt"),
        ]);
        let names = [("a.yaml".to_owned(), true), ("b.json".to_owned(), false)];
        assert_eq!(observed, Observed { names: names.into(), any: false, path: false });
    }

    #[test]
    fn an_event_without_a_known_file_is_about_any() {
        let any = Observed { any: true, ..Observed::default() };
        assert_eq!(after(&[(EventMask::MOVED_TO, Some("..data"), true)]), any);
        assert_eq!(after(&[(EventMask::Q_OVERFLOW, None, false)]), Observed { path: true, ..any });
        let path = Observed { path: true, ..Observed::default() };
        assert_eq!(after(&[(EventMask::DELETE_SELF, None, true)]), path);
        assert_eq!(after(&[(EventMask::MOVED_TO, Some("objects"), false)]), path);
        assert_eq!(after(&[(EventMask::MOVED_TO, Some("other.yaml"), false)]), Observed::default());
    }
}
