//! The thread that watches a directory: it waits for events, reads the affected files and publishes
//! snapshots.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lb_api::problem::{Problem, ReadReason};
use tokio::sync::watch::Sender;

use super::files::{CheckTime, Files, MAX_FILES, WRITER_REPORT_DELAY};
use super::inotify::{FileEvents, PathWatches, is_object_file};
use crate::snapshot::Snapshot;

/// Time over which events are coalesced.
const COALESCE: Duration = Duration::from_millis(1);
/// Interval at which the path is resolved again, and links and stale files are checked: their changes do not
/// always cause events.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which all files are checked: not every file system reports changes by other machines.
const LIST_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum number of directory entries that are read; a directory with more is not meant for objects.
const MAX_NAMES: usize = 10 * MAX_FILES;

/// Watches a directory.
pub(super) struct DirectoryWatcher {
    path: PathBuf,
    watches: PathWatches,
    files: Files,
    events: FileEvents,
    started: Instant,
    last_event: Instant,
    last_check: Instant,
    last_list: Option<Instant>,
    /// Whether the path leads to another directory than was last read.
    is_replaced: bool,
    /// Why the directory cannot be read.
    error: Option<String>,
    publish: Sender<Option<Snapshot>>,
}

impl DirectoryWatcher {
    /// Starts to watch a path; publishes snapshots to `publish`.
    pub(super) fn start(path: &Path, publish: Sender<Option<Snapshot>>) -> io::Result<Self> {
        let now = Instant::now();
        let watcher = Self {
            path: path.to_path_buf(),
            watches: PathWatches::start(path)?,
            files: Files::default(),
            events: FileEvents::default(),
            started: now,
            last_event: now,
            last_check: now,
            last_list: None,
            is_replaced: false,
            error: None,
            publish,
        };
        // Fail at startup rather than wait for a directory that may never exist.
        fs::read_dir(path)?;
        Ok(watcher)
    }

    /// Runs until the receiver is dropped.
    pub(super) fn run(mut self) {
        while !self.publish.is_closed() {
            let is_changed = self.refresh(Instant::now());
            if is_changed || self.publish.borrow().is_none() {
                self.publish();
            }
            self.wait();
        }
    }

    fn wait(&mut self) {
        let now = Instant::now();
        let check = self.last_check + CHECK_INTERVAL;
        let until = self.files.next_check(now).map_or(check, |next| next.min(check));
        if let Err(error) = self.watches.wait(until.saturating_duration_since(now)) {
            tracing::error!(%error, "cannot wait for changes of the directory; polling it every second");
            thread::sleep(CHECK_INTERVAL);
        }
        if self.watches.drain(&mut self.events) {
            // One write causes many events.
            thread::sleep(COALESCE);
            self.watches.drain(&mut self.events);
            self.last_event = Instant::now();
        }
    }

    /// Reads the files that may have changed; returns whether objects or problems have changed.
    fn refresh(&mut self, now: Instant) -> bool {
        let events = std::mem::take(&mut self.events);
        let is_check = now >= self.last_check + CHECK_INTERVAL;
        if is_check {
            self.last_check = now;
        }
        let before = self.error.clone();
        let mut is_all =
            events.all || self.last_list.is_none_or(|last_list| now >= last_list + LIST_INTERVAL);
        if events.path || is_check {
            is_all |= self.check_path();
        }
        is_all |= self.is_replaced || self.error.is_some();
        let mut is_changed = is_all && self.list(now);
        let mut names = if is_all { self.files.names() } else { self.files.polled() };
        if self.error.is_some() {
            // The known files stay in use; all files are read again once the directory can be.
            return self.error != before;
        }
        for name in events.names.keys() {
            self.files.add(name);
            names.insert(name.clone());
        }
        let time = CheckTime { now, last_event: self.last_event };
        is_changed |= self.error != before;
        for name in names {
            let event = events.names.get(&name).copied();
            is_changed |= self.files.refresh(&self.path, &name, event, time);
        }
        is_changed
    }

    /// Resolves the path; returns whether it leads to another directory than before.
    fn check_path(&mut self) -> bool {
        match self.watches.rewatch() {
            Ok(is_other) => {
                if is_other {
                    tracing::info!(path = %self.path.display(), "directory replaced");
                    (self.is_replaced, self.last_event) = (true, Instant::now());
                }
                is_other
            }
            Err(error) => {
                self.is_replaced = true;
                self.error = Some(format!("cannot watch {}: {error}", self.path.display()));
                false
            }
        }
    }

    /// Lists the files; returns whether the number of ignored files has changed.
    fn list(&mut self, now: Instant) -> bool {
        match names(&self.path) {
            // An unmounted file system leaves an empty directory behind, and a recreated directory starts
            // empty.
            Ok(names) if names.is_empty() && self.is_replaced && !self.files.names().is_empty() => {
                self.error = Some(format!(
                    "{} has been replaced by a directory without any .yaml, .yml or .json file; add files to it, or \
                     restart the agent to delete all objects",
                    self.path.display()
                ));
                false
            }
            Ok(names) => {
                self.last_list = Some(now);
                if std::mem::take(&mut self.is_replaced) {
                    self.files.handle_directory_restored(now);
                    self.last_event = now;
                }
                self.error = None;
                self.files.set_present(names)
            }
            Err(error) => {
                self.error = Some(format!("cannot read {}: {error}", self.path.display()));
                false
            }
        }
    }

    fn publish(&self) {
        // At startup, wait for a file that is being written: without it, its Services would be withdrawn.
        let is_first = self.publish.borrow().is_none();
        if is_first
            && self.files.awaits_first_read()
            && self.started.elapsed() < WRITER_REPORT_DELAY + CHECK_INTERVAL
        {
            return;
        }
        let mut snapshot = self.files.snapshot();
        let error = self.error.clone();
        snapshot
            .problems
            .extend(error.map(|error| Problem::general(ReadReason::UnreadableDirectory { error })));
        self.publish.send_replace(Some(snapshot));
    }
}

/// Returns the names of the files that contain objects.
fn names(path: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(path)?.take(MAX_NAMES) {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| is_object_file(name)).map(str::to_owned));
    }
    Ok(names)
}
