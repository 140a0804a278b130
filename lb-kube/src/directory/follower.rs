//! The thread that follows a directory: waits for events, reads the files they name, publishes changes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lb_api::problem::{Problem, ReadReason};
use tokio::sync::watch::Sender;

use super::files::{Files, MAX_FILES, Moment, WRITTEN_UNREPORTED};
use super::inotify::{Observed, Watches, is_source};
use crate::snapshot::Snapshot;

/// What happens to one file and then to another is seen together.
const GLANCE: Duration = Duration::from_millis(1);
/// How often the path is resolved anew, and files are looked at that are links or do not count as they are: of what
/// happens to those there are not always events.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How often all files are looked at: not every file system reports what other machines do.
const LIST_EVERY: Duration = Duration::from_secs(10);
/// Names that are looked at in a directory; one with more of them is not meant for objects.
const MAX_NAMES: usize = 10 * MAX_FILES;

/// Follows a directory.
pub(super) struct Follower {
    path: PathBuf,
    watches: Watches,
    files: Files,
    observed: Observed,
    started: Instant,
    last_event: Instant,
    checked: Instant,
    listed: Option<Instant>,
    /// Whether the path leads to another directory than the one that was last read.
    is_replaced: bool,
    /// Why the directory cannot be read.
    trouble: Option<String>,
    publish: Sender<Option<Snapshot>>,
}

impl Follower {
    /// Starts to watch.
    pub(super) fn start(path: &Path, publish: Sender<Option<Snapshot>>) -> io::Result<Self> {
        let now = Instant::now();
        let follower = Self {
            path: path.to_path_buf(),
            watches: Watches::start(path)?,
            files: Files::default(),
            observed: Observed::default(),
            started: now,
            last_event: now,
            checked: now,
            listed: None,
            is_replaced: false,
            trouble: None,
            publish,
        };
        // It is better to end at once than to wait for what will not be there.
        fs::read_dir(path)?;
        Ok(follower)
    }

    /// Follows it until the receiver is dropped.
    pub(super) fn run(mut self) {
        while !self.publish.is_closed() {
            let is_changed = self.look(Instant::now());
            if is_changed || self.publish.borrow().is_none() {
                self.publish();
            }
            self.wait();
        }
    }

    fn wait(&mut self) {
        let now = Instant::now();
        let check = self.checked + CHECK_EVERY;
        let until = self.files.next(now).map_or(check, |next| next.min(check));
        if let Err(error) = self.watches.wait(until.saturating_duration_since(now)) {
            tracing::error!(%error, "cannot wait for changes of the directory; it is looked at every second");
            thread::sleep(CHECK_EVERY);
        }
        if self.watches.drain(&mut self.observed) {
            // A file that is written makes many events.
            thread::sleep(GLANCE);
            self.watches.drain(&mut self.observed);
            self.last_event = Instant::now();
        }
    }

    /// Reads what may have changed. True where something else counts than before, or something else is to be reported.
    fn look(&mut self, now: Instant) -> bool {
        let observed = std::mem::take(&mut self.observed);
        let is_check = now >= self.checked + CHECK_EVERY;
        if is_check {
            self.checked = now;
        }
        let before = self.trouble.clone();
        let mut is_all = observed.any || self.listed.is_none_or(|listed| now >= listed + LIST_EVERY);
        if observed.path || is_check {
            is_all |= self.follow();
        }
        is_all |= self.is_replaced || self.trouble.is_some();
        let mut is_changed = is_all && self.list(now);
        let mut names = if is_all { self.files.names() } else { self.files.unobserved() };
        if self.trouble.is_some() {
            // The files are as they were; whatever has happened to them is looked at with all the others later.
            return self.trouble != before;
        }
        for name in observed.names.keys() {
            self.files.note(name);
            names.insert(name.clone());
        }
        let moment = Moment { now, last_event: self.last_event };
        is_changed |= self.trouble != before;
        for name in names {
            let observed = observed.names.get(&name).copied();
            is_changed |= self.files.look(&self.path, &name, observed, moment);
        }
        is_changed
    }

    /// True where the path leads to another directory than before.
    fn follow(&mut self) -> bool {
        match self.watches.follow() {
            Ok(is_other) => {
                if is_other {
                    tracing::info!(path = %self.path.display(), "the directory has been replaced");
                    (self.is_replaced, self.last_event) = (true, Instant::now());
                }
                is_other
            }
            Err(error) => {
                self.is_replaced = true;
                self.trouble = Some(format!("cannot follow {}: {error}", self.path.display()));
                false
            }
        }
    }

    /// True where another number of files is ignored than before.
    fn list(&mut self, now: Instant) -> bool {
        match names(&self.path) {
            // A mount that is away leaves such a directory behind, and one that is made anew begins so.
            Ok(names) if names.is_empty() && self.is_replaced && !self.files.names().is_empty() => {
                self.trouble = Some(format!(
                    "{} has been replaced by a directory without any .yaml, .yml or .json file; put files there, or \
                     restart the agent if there are to be none",
                    self.path.display()
                ));
                false
            }
            Ok(names) => {
                self.listed = Some(now);
                if std::mem::take(&mut self.is_replaced) {
                    self.files.came_back(now);
                    self.last_event = now;
                }
                self.trouble = None;
                self.files.list(names)
            }
            Err(error) => {
                self.trouble = Some(format!("cannot read {}: {error}", self.path.display()));
                false
            }
        }
    }

    fn publish(&self) {
        // A file that is being written when the agent starts is waited for: without it, its Services would go.
        let is_first = self.publish.borrow().is_none();
        if is_first && self.files.awaits_first() && self.started.elapsed() < WRITTEN_UNREPORTED + CHECK_EVERY
        {
            return;
        }
        let mut snapshot = self.files.snapshot();
        let error = self.trouble.clone();
        snapshot
            .problems
            .extend(error.map(|error| Problem::general(ReadReason::UnreadableDirectory { error })));
        self.publish.send_replace(Some(snapshot));
    }
}

/// The names of files that hold objects.
fn names(path: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(path)?.take(MAX_NAMES) {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| is_source(name)).map(str::to_owned));
    }
    Ok(names)
}
