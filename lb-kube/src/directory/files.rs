//! The last-known-good content of each file: it counts while the file cannot be read, is being written or has just
//! vanished.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, ReadReason};

use super::read_file::{self, BEING_WRITTEN, Content, Known, Limits, MAX_FILE, Stamp};
use crate::snapshot::{self, Snapshot};

/// Files that are read of a directory.
pub(super) const MAX_FILES: usize = 10_000;
/// Bytes that are read of all files together.
const MAX_TOTAL: u64 = 128 << 20;

/// For how long a file has to be away, and the directory quiet, until its objects are removed: editors, version
/// control and copies put another one in its place.
pub(super) const GONE_AFTER: Duration = Duration::from_millis(100);
/// After this long a file is gone though the directory is never quiet.
const GONE_ANYWAY: Duration = Duration::from_secs(5);
/// A file that has not changed for so long is whole, where the kernel does not say who writes it.
const WHOLE_AFTER: Duration = Duration::from_secs(1);
/// After this long it is reported that a file is open for writing; until then it may be on its way.
pub(super) const WRITTEN_UNREPORTED: Duration = Duration::from_secs(5);

/// All files that are known of.
#[derive(Debug, Default)]
pub(super) struct Files {
    held: BTreeMap<String, Held>,
    /// Bytes of all texts that objects are from.
    total: u64,
    /// How many files are not read, since there are too many.
    ignored: usize,
    hasher: RandomState,
}

/// What is held of a file.
#[derive(Debug, Default)]
struct Held {
    /// The stamp of what was last looked into, whether it could be used or not.
    stamp: Option<Stamp>,
    /// Bytes of the text that the objects are from, and its hash.
    text: Option<(u64, u64)>,
    objects: Vec<Arc<Sourced<Object>>>,
    problems: Vec<Problem>,
    /// Why it counts as it was last read.
    delay: Option<Delay>,
    is_link: bool,
}

/// Why a file counts as it was last read.
#[derive(Clone, Debug, PartialEq)]
enum Delay {
    /// It is away since then.
    Gone(Instant),
    /// A process has it open for writing since `since`; it has this stamp since `unchanged`.
    Written { since: Instant, stamp: Stamp, unchanged: Instant, is_reported: bool },
    /// It cannot be read.
    Unfit(String),
}

/// The moment of a look at the files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The moment itself.
    pub(super) now: Instant,
    /// When something last happened in the directory.
    pub(super) last_event: Instant,
}

impl Files {
    /// Sets which files there are. True where another number of them is ignored than before.
    pub(super) fn list(&mut self, present: BTreeSet<String>) -> bool {
        // Those that are known come first: a file too many costs no other.
        let (known, new): (Vec<_>, Vec<_>) =
            present.into_iter().partition(|name| self.held.contains_key(name));
        let room = MAX_FILES.saturating_sub(known.len());
        let before = std::mem::replace(&mut self.ignored, new.len().saturating_sub(room));
        for name in new.into_iter().take(room) {
            self.held.insert(name, Held::default());
        }
        self.ignored != before
    }

    /// Notes that there is a file, or may be.
    pub(super) fn note(&mut self, name: &str) {
        if self.held.len() < MAX_FILES && !self.held.contains_key(name) {
            self.held.insert(name.to_owned(), Held::default());
        }
    }

    /// The directory has been away: what has not come back yet is given as long as what has just vanished.
    pub(super) fn came_back(&mut self, now: Instant) {
        for held in self.held.values_mut() {
            if let Some(Delay::Gone(since)) = &mut held.delay {
                *since = now;
            }
        }
    }

    /// The names of all files.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.held.keys().cloned().collect()
    }

    /// Those that have to be looked at although nothing is observed of them.
    pub(super) fn unobserved(&self) -> BTreeSet<String> {
        let names = self.held.iter().filter(|(_, held)| held.is_link || held.delay.is_some());
        names.map(|(name, _)| name.clone()).collect()
    }

    /// When a file that is away is to be looked at again.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let is_gone = |held: &Held| matches!(held.delay, Some(Delay::Gone(_)));
        self.held.values().any(is_gone).then(|| now + GONE_AFTER)
    }

    /// Whether a file that has never been read is being written, and perhaps soon whole.
    pub(super) fn awaits_first(&self) -> bool {
        let is_coming = |held: &Held| {
            held.text.is_none() && matches!(held.delay, Some(Delay::Written { is_reported: false, .. }))
        };
        self.held.values().any(is_coming)
    }

    /// Reads a file again; `observed` tells whether something happened to it, and then whether it is whole by that.
    /// True where something else counts than before, or something else is to be reported.
    pub(super) fn look(
        &mut self,
        directory: &Path,
        name: &str,
        observed: Option<bool>,
        moment: Moment,
    ) -> bool {
        let Some(held) = self.held.get_mut(name) else { return false };
        let others = self.total.saturating_sub(held.length());
        let limits = Limits { file: MAX_FILE, left: MAX_TOTAL.saturating_sub(others) };
        let path = directory.join(name);
        held.is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        match read_file::read(&path, held.known(observed, moment.now), limits) {
            Content::Missing if held.is_gone(moment) => {
                self.total = others;
                self.held.remove(name).is_some_and(|held| held.text.is_some() || held.delay.is_some())
            }
            Content::Missing => held.delayed(Delay::Gone(moment.now)),
            Content::Unchanged => false,
            Content::BeingWritten(stamp) => held.being_written(stamp, moment.now),
            Content::Unfit { error, stamp } => {
                // What finds no room beside the others may find it later.
                held.stamp = stamp.filter(|stamp| stamp.length() <= limits.left);
                held.delayed(Delay::Unfit(error))
            }
            Content::Text { text, stamp } => {
                let hash = self.hasher.hash_one(&text);
                self.total = others + text.len() as u64;
                held.read(name, &text, hash, stamp)
            }
        }
    }

    /// All objects. One that also stands in a file which counts as it is has been moved there.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let elsewhere = self.moved();
        for (name, held) in &self.held {
            let is_here = |object: &&Arc<Sourced<Object>>| {
                held.delay.is_none() || !elsewhere.contains(&object.value.reference())
            };
            let objects: Vec<_> = held.objects.iter().filter(is_here).map(Arc::clone).collect();
            snapshot.problems.extend(held.problems.iter().cloned());
            snapshot.problems.extend(held.report(name, &objects));
            snapshot.objects.extend(objects);
        }
        if self.ignored > 0 {
            let reason = ReadReason::TooManyFiles { count: self.ignored, limit: MAX_FILES };
            snapshot.problems.push(Problem::general(reason));
        }
        snapshot
    }

    /// Objects of files that count as they are, while there are others.
    fn moved(&self) -> BTreeSet<ObjectRef> {
        if self.held.values().all(|held| held.delay.is_none() || held.objects.is_empty()) {
            return BTreeSet::new();
        }
        let current = self.held.values().filter(|held| held.delay.is_none());
        current.flat_map(|held| &held.objects).map(|object| object.value.reference()).collect()
    }
}

impl Held {
    fn length(&self) -> u64 {
        self.text.map_or(0, |(length, _)| length)
    }

    fn known(&self, observed: Option<bool>, now: Instant) -> Known {
        let is_settled = !matches!(self.delay, Some(Delay::Gone(_) | Delay::Written { .. }));
        let whole = match &self.delay {
            Some(Delay::Written { stamp, unchanged, .. }) if now >= *unchanged + WHOLE_AFTER => Some(*stamp),
            _ => None,
        };
        Known {
            read: self.stamp.filter(|_| is_settled && observed.is_none()),
            whole,
            is_whole: observed == Some(true),
        }
    }

    fn is_gone(&self, moment: Moment) -> bool {
        let Some(Delay::Gone(since)) = self.delay else { return self.text.is_none() };
        let is_quiet = moment.now >= moment.last_event + GONE_AFTER;
        moment.now >= since + if is_quiet { GONE_AFTER } else { GONE_ANYWAY }
    }

    /// True where there is something to report.
    fn delayed(&mut self, delay: Delay) -> bool {
        let is_same = match (&self.delay, &delay) {
            (Some(Delay::Gone(_)), Delay::Gone(_)) => return false,
            (before, Delay::Gone(_)) => before.is_none(),
            (before, delay) => before.as_ref() == Some(delay),
        };
        self.delay = Some(delay);
        !is_same
    }

    fn being_written(&mut self, stamp: Stamp, now: Instant) -> bool {
        let (since, unchanged, was_reported) = match self.delay {
            Some(Delay::Written { since, stamp: before, unchanged, is_reported }) => {
                (since, if before == stamp { unchanged } else { now }, is_reported)
            }
            _ => (now, now, false),
        };
        let is_reported = now >= since + WRITTEN_UNREPORTED;
        let was_unfit = matches!(self.delay, Some(Delay::Unfit(_)));
        self.delay = Some(Delay::Written { since, stamp, unchanged, is_reported });
        was_unfit || was_reported != is_reported
    }

    fn read(&mut self, name: &str, text: &str, hash: u64, stamp: Stamp) -> bool {
        let delay = self.delay.take();
        self.stamp = Some(stamp);
        let identity = Some((text.len() as u64, hash));
        if self.text == identity {
            // While it was delayed, its objects may have counted as another file's.
            return delay.is_some();
        }
        self.text = identity;
        let (objects, problems) = objects::parse(name, text);
        let objects = self.replace(objects, &problems);
        self.problems = problems;
        self.problems.extend(objects.staying.iter().filter_map(|object| snapshot::staying(object)));
        self.objects = objects.now;
        self.objects.extend(objects.staying);
        true
    }

    /// An object that is what it was is the same value; one that is now invalid stays as it was.
    fn replace(&mut self, read: Vec<Sourced<Object>>, problems: &[Problem]) -> Replaced {
        let before = std::mem::take(&mut self.objects);
        let mut known: BTreeMap<ObjectRef, Arc<Sourced<Object>>> =
            before.into_iter().map(|object| (object.value.reference(), object)).collect();
        let now = read.into_iter().map(|object| {
            let same = known.remove(&object.value.reference()).filter(|old| **old == object);
            same.unwrap_or_else(|| Arc::new(object))
        });
        let now = now.collect();
        // What is left of those before is not there now, or cannot be read.
        let unnamed = problems.iter().any(|problem| problem.object.is_none());
        let invalid: BTreeSet<_> = problems.iter().filter_map(|problem| problem.object.clone()).collect();
        // One that cannot be read may name no namespace.
        let is_invalid = |old: &ObjectRef| {
            invalid.contains(old) || invalid.contains(&ObjectRef { namespace: None, ..old.clone() })
        };
        let staying = known.into_iter().filter(|(reference, _)| unnamed || is_invalid(reference));
        Replaced { now, staying: staying.map(|(_, object)| object).collect() }
    }

    /// What there is to say of a file that counts as it was.
    fn report(&self, name: &str, objects: &[Arc<Sourced<Object>>]) -> Vec<Problem> {
        let error = match &self.delay {
            Some(Delay::Unfit(error)) => error.clone(),
            Some(Delay::Written { is_reported: true, .. }) => BEING_WRITTEN.to_owned(),
            _ => return Vec::new(),
        };
        let reason = ReadReason::UnreadableFile { error };
        let file = Problem { source: Some(name.to_owned()), ..Problem::general(reason) };
        let staying = objects.iter().filter_map(|object| snapshot::staying(object));
        std::iter::once(file).chain(staying).collect()
    }
}

/// The objects of a file that has been read again.
struct Replaced {
    now: Vec<Arc<Sourced<Object>>>,
    /// Those that are now invalid.
    staying: Vec<Arc<Sourced<Object>>>,
}
