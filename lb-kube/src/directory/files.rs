//! The last-known-good content of each file, which stays in use while the file cannot be read, is being
//! written or has just disappeared.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, ReadReason};

use super::read_file::{self, BEING_WRITTEN, Content, FileStamp, MAX_FILE, ReadHints, SizeLimits};
use crate::snapshot::{self, Snapshot};

/// Maximum number of files.
pub(super) const MAX_FILES: usize = 10_000;
/// Maximum size of all files together, in bytes.
const MAX_TOTAL: u64 = 128 << 20;

/// Time for which a file must be missing, and the directory idle, before its objects are removed: editors,
/// version control and copies replace files by deleting and recreating them.
pub(super) const DELETE_DELAY: Duration = Duration::from_millis(100);
/// After this time a missing file is deleted even if the directory is not idle.
const MAX_DELETE_DELAY: Duration = Duration::from_secs(5);
/// A file that has not changed for this long is complete, if the kernel does not report its writers.
const COMPLETE_DELAY: Duration = Duration::from_secs(1);
/// After this time a file that is open for writing is reported; until then the write may be about to end.
pub(super) const WRITER_REPORT_DELAY: Duration = Duration::from_secs(5);

/// All known files.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: BTreeMap<String, FileState>,
    /// Size of all files in use, in bytes.
    total: u64,
    /// Number of files beyond the limit, which are not read.
    ignored: usize,
    hasher: RandomState,
}

/// The state of a file.
#[derive(Debug, Default)]
struct FileState {
    /// The stamp of the content last checked, valid or not.
    stamp: Option<FileStamp>,
    /// Length and hash of the text that the objects were parsed from.
    text: Option<(u64, u64)>,
    objects: Vec<Arc<Sourced<Object>>>,
    problems: Vec<Problem>,
    /// Why the objects are older than the file.
    stale: Option<StaleReason>,
    is_link: bool,
}

/// Why the objects of a file are older than the file.
#[derive(Clone, Debug, PartialEq)]
enum StaleReason {
    /// The file has been missing since then.
    Missing(Instant),
    /// A process has had the file open for writing since `since`; its stamp has not changed since
    /// `unchanged`.
    BeingWritten { since: Instant, stamp: FileStamp, unchanged: Instant, is_reported: bool },
    /// The file cannot be read.
    Unreadable(String),
}

/// The time of a check.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckTime {
    /// The current time.
    pub(super) now: Instant,
    /// When the directory last had an event.
    pub(super) last_event: Instant,
}

impl Files {
    /// Sets which files exist. Returns whether the number of ignored files has changed.
    pub(super) fn set_present(&mut self, present: BTreeSet<String>) -> bool {
        // Known files come first: one beyond the limit does not displace another.
        let (known, new): (Vec<_>, Vec<_>) =
            present.into_iter().partition(|name| self.files.contains_key(name));
        let room = MAX_FILES.saturating_sub(known.len());
        let before = std::mem::replace(&mut self.ignored, new.len().saturating_sub(room));
        for name in new.into_iter().take(room) {
            self.files.insert(name, FileState::default());
        }
        self.ignored != before
    }

    /// Adds a file that may exist.
    pub(super) fn add(&mut self, name: &str) {
        if self.files.len() < MAX_FILES && !self.files.contains_key(name) {
            self.files.insert(name.to_owned(), FileState::default());
        }
    }

    /// Handles that the directory is back: files that are still missing count as having just disappeared.
    pub(super) fn handle_directory_restored(&mut self, now: Instant) {
        for file in self.files.values_mut() {
            if let Some(StaleReason::Missing(since)) = &mut file.stale {
                *since = now;
            }
        }
    }

    /// Returns the names of all files.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.files.keys().cloned().collect()
    }

    /// Returns the files that have to be polled because events do not cover their changes.
    pub(super) fn polled(&self) -> BTreeSet<String> {
        let names = self.files.iter().filter(|(_, file)| file.is_link || file.stale.is_some());
        names.map(|(name, _)| name.clone()).collect()
    }

    /// Returns when a missing file has to be checked again.
    pub(super) fn next_check(&self, now: Instant) -> Option<Instant> {
        let is_missing = |file: &FileState| matches!(file.stale, Some(StaleReason::Missing(_)));
        self.files.values().any(is_missing).then(|| now + DELETE_DELAY)
    }

    /// Returns whether a file that has never been read is being written, and may soon be complete.
    pub(super) fn awaits_first_read(&self) -> bool {
        let is_awaited = |file: &FileState| {
            file.text.is_none()
                && matches!(file.stale, Some(StaleReason::BeingWritten { is_reported: false, .. }))
        };
        self.files.values().any(is_awaited)
    }

    /// Reads a file again; `event` is set if it had an event, and true if that event says that it is
    /// complete. Returns whether objects or problems have changed.
    pub(super) fn refresh(
        &mut self,
        directory: &Path,
        name: &str,
        event: Option<bool>,
        time: CheckTime,
    ) -> bool {
        let Some(file) = self.files.get_mut(name) else { return false };
        let others = self.total.saturating_sub(file.length());
        let limits = SizeLimits { file: MAX_FILE, remaining: MAX_TOTAL.saturating_sub(others) };
        let path = directory.join(name);
        file.is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        match read_file::read(&path, file.hints(event, time.now), limits) {
            Content::Missing if file.is_deleted(time) => {
                self.total = others;
                self.files.remove(name).is_some_and(|file| file.text.is_some() || file.stale.is_some())
            }
            Content::Missing => file.set_stale(StaleReason::Missing(time.now)),
            Content::Unchanged => false,
            Content::BeingWritten(stamp) => file.handle_being_written(stamp, time.now),
            Content::Unreadable { error, stamp } => {
                // A file that exceeds the remaining size is read again: the others may shrink.
                file.stamp = stamp.filter(|stamp| stamp.length() <= limits.remaining);
                file.set_stale(StaleReason::Unreadable(error))
            }
            Content::Text { text, stamp } => {
                let hash = self.hasher.hash_one(&text);
                self.total = others + text.len() as u64;
                file.read(name, &text, hash, stamp)
            }
        }
    }

    /// Returns all objects. An object of a stale file that is also in a current file has been moved there.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let current = self.current_objects();
        for (name, file) in &self.files {
            let is_in_use = |object: &&Arc<Sourced<Object>>| {
                file.stale.is_none() || !current.contains(&object.value.reference())
            };
            let objects: Vec<_> = file.objects.iter().filter(is_in_use).map(Arc::clone).collect();
            snapshot.problems.extend(file.problems.iter().cloned());
            snapshot.problems.extend(file.report(name, &objects));
            snapshot.objects.extend(objects);
        }
        if self.ignored > 0 {
            let reason = ReadReason::TooManyFiles { count: self.ignored, limit: MAX_FILES };
            snapshot.problems.push(Problem::general(reason));
        }
        snapshot
    }

    /// Returns the objects of current files, if there are stale ones.
    fn current_objects(&self) -> BTreeSet<ObjectRef> {
        if self.files.values().all(|file| file.stale.is_none() || file.objects.is_empty()) {
            return BTreeSet::new();
        }
        let current = self.files.values().filter(|file| file.stale.is_none());
        current.flat_map(|file| &file.objects).map(|object| object.value.reference()).collect()
    }
}

impl FileState {
    fn length(&self) -> u64 {
        self.text.map_or(0, |(length, _)| length)
    }

    fn hints(&self, event: Option<bool>, now: Instant) -> ReadHints {
        let is_settled =
            !matches!(self.stale, Some(StaleReason::Missing(_) | StaleReason::BeingWritten { .. }));
        let complete = match &self.stale {
            Some(StaleReason::BeingWritten { stamp, unchanged, .. })
                if now >= *unchanged + COMPLETE_DELAY =>
            {
                Some(*stamp)
            }
            _ => None,
        };
        ReadHints {
            unchanged: self.stamp.filter(|_| is_settled && event.is_none()),
            complete,
            is_complete: event == Some(true),
        }
    }

    fn is_deleted(&self, time: CheckTime) -> bool {
        let Some(StaleReason::Missing(since)) = self.stale else { return self.text.is_none() };
        let is_quiet = time.now >= time.last_event + DELETE_DELAY;
        time.now >= since + if is_quiet { DELETE_DELAY } else { MAX_DELETE_DELAY }
    }

    /// Sets why the file is stale; returns whether that changes what is reported.
    fn set_stale(&mut self, stale: StaleReason) -> bool {
        let is_same = match (&self.stale, &stale) {
            (Some(StaleReason::Missing(_)), StaleReason::Missing(_)) => return false,
            (before, StaleReason::Missing(_)) => before.is_none(),
            (before, stale) => before.as_ref() == Some(stale),
        };
        self.stale = Some(stale);
        !is_same
    }

    fn handle_being_written(&mut self, stamp: FileStamp, now: Instant) -> bool {
        let (since, unchanged, was_reported) = match self.stale {
            Some(StaleReason::BeingWritten { since, stamp: before, unchanged, is_reported }) => {
                (since, if before == stamp { unchanged } else { now }, is_reported)
            }
            _ => (now, now, false),
        };
        let is_reported = now >= since + WRITER_REPORT_DELAY;
        let was_unreadable = matches!(self.stale, Some(StaleReason::Unreadable(_)));
        self.stale = Some(StaleReason::BeingWritten { since, stamp, unchanged, is_reported });
        was_unreadable || was_reported != is_reported
    }

    fn read(&mut self, name: &str, text: &str, hash: u64, stamp: FileStamp) -> bool {
        let stale = self.stale.take();
        self.stamp = Some(stamp);
        let identity = Some((text.len() as u64, hash));
        if self.text == identity {
            // While the file was stale, its objects may have been those of another file.
            return stale.is_some();
        }
        self.text = identity;
        let (objects, problems) = objects::parse(name, text);
        let objects = self.replace(objects, &problems);
        self.problems = problems;
        self.problems.extend(objects.kept.iter().filter_map(|object| snapshot::stale_problem(object)));
        self.objects = objects.current;
        self.objects.extend(objects.kept);
        true
    }

    /// Replaces the objects. One that has not changed stays the same `Arc`; one that is now invalid keeps its
    /// last valid version.
    fn replace(&mut self, read: Vec<Sourced<Object>>, problems: &[Problem]) -> Replaced {
        let before = std::mem::take(&mut self.objects);
        let mut known: BTreeMap<ObjectRef, Arc<Sourced<Object>>> =
            before.into_iter().map(|object| (object.value.reference(), object)).collect();
        let current = read.into_iter().map(|object| {
            let same = known.remove(&object.value.reference()).filter(|old| **old == object);
            same.unwrap_or_else(|| Arc::new(object))
        });
        let current = current.collect();
        // The remaining previous objects are deleted or invalid.
        let unnamed = problems.iter().any(|problem| problem.object.is_none());
        let invalid: BTreeSet<_> = problems.iter().filter_map(|problem| problem.object.clone()).collect();
        // An invalid object may lack its namespace.
        let is_invalid = |old: &ObjectRef| {
            invalid.contains(old) || invalid.contains(&ObjectRef { namespace: None, ..old.clone() })
        };
        let kept = known.into_iter().filter(|(reference, _)| unnamed || is_invalid(reference));
        Replaced { current, kept: kept.map(|(_, object)| object).collect() }
    }

    /// Returns the problems to report of a stale file.
    fn report(&self, name: &str, objects: &[Arc<Sourced<Object>>]) -> Vec<Problem> {
        let error = match &self.stale {
            Some(StaleReason::Unreadable(error)) => error.clone(),
            Some(StaleReason::BeingWritten { is_reported: true, .. }) => BEING_WRITTEN.to_owned(),
            _ => return Vec::new(),
        };
        let reason = ReadReason::UnreadableFile { error };
        let file = Problem { source: Some(name.to_owned()), ..Problem::general(reason) };
        let kept = objects.iter().filter_map(|object| snapshot::stale_problem(object));
        std::iter::once(file).chain(kept).collect()
    }
}

/// The objects of a file after it has been read again.
struct Replaced {
    current: Vec<Arc<Sourced<Object>>>,
    /// The last valid versions of objects that are now invalid.
    kept: Vec<Arc<Sourced<Object>>>,
}
