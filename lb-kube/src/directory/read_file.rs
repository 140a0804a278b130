//! Reading a file, completely or not at all, without waiting for another process, whatever the file is.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use libc::{O_NOCTTY, O_NONBLOCK};

use super::read_lease::{self, Writers};

/// Maximum size of a file, in bytes.
pub(super) const MAX_FILE: u64 = 32 << 20;
/// The error of a file that is open for writing.
pub(super) const BEING_WRITTEN: &str = "is open for writing by another process";

/// The identity of a file's content, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The content of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The file does not exist.
    Missing,
    /// The content has not changed.
    Unchanged,
    /// A process has the file open for writing, or may have.
    BeingWritten(FileStamp),
    /// A text file.
    Text {
        /// Its text.
        text: String,
        /// Its stamp.
        stamp: FileStamp,
    },
    /// The path is not a readable text file.
    Unreadable {
        /// The reason.
        error: String,
        /// The stamp of the file, if there is one.
        stamp: Option<FileStamp>,
    },
}

/// What is known of a path before it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadHints {
    /// The stamp of the content last read, if that need not be read again.
    pub(super) unchanged: Option<FileStamp>,
    /// The stamp at which the file counts as complete if the kernel does not report its writers.
    pub(super) complete: Option<FileStamp>,
    /// Whether the observed events say that the file is complete.
    pub(super) is_complete: bool,
}

/// Maximum sizes, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeLimits {
    /// Of one file.
    pub(super) file: u64,
    /// Of this file, given the size of the others.
    pub(super) remaining: u64,
}

impl FileStamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Returns the length of the file, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl SizeLimits {
    fn check(&self, length: u64) -> Result<(), String> {
        if length > self.file {
            Err(format!("is larger than {} MiB; split it into several files", self.file >> 20))
        } else if length > self.remaining {
            Err("exceeds the size limit for all files of the directory together".to_owned())
        } else {
            Ok(())
        }
    }
}

/// Reads a file once.
///
/// # Errors
/// If the file does not exist or is not a readable text file.
pub fn read_once(path: &Path) -> Result<String, String> {
    match read(
        path,
        ReadHints { is_complete: true, ..ReadHints::default() },
        SizeLimits { file: MAX_FILE, remaining: MAX_FILE },
    ) {
        Content::Text { text, .. } => Ok(text),
        Content::Unreadable { error, .. } => Err(error),
        Content::BeingWritten(_) => Err(BEING_WRITTEN.to_owned()),
        Content::Missing | Content::Unchanged => Err("does not exist".to_owned()),
    }
}

/// Reads a path, following symbolic links.
pub(super) fn read(path: &Path, hints: ReadHints, limits: SizeLimits) -> Content {
    let unreadable = |error: String, stamp| Content::Unreadable { error, stamp };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_link = path.symlink_metadata().is_ok();
            return if is_link {
                unreadable("is a dangling symbolic link".into(), None)
            } else {
                Content::Missing
            };
        }
        Err(error) => return unreadable(format!("cannot be read: {error}"), None),
    };
    let stamp = FileStamp::of(&metadata);
    if hints.unchanged == Some(stamp) {
        return Content::Unchanged;
    }
    let check = check_regular(metadata.file_type()).and_then(|()| limits.check(metadata.len()));
    match check.and_then(|()| open(path)) {
        Ok(file) => read_open(&file, read_lease::request(&file), hints, limits)
            .unwrap_or_else(|error| unreadable(format!("cannot be read: {error}"), Some(stamp))),
        Err(error) => unreadable(error, Some(stamp)),
    }
}

/// Checks that a file is regular: opening any other can block, or have side effects on a device.
fn check_regular(kind: FileType) -> Result<(), String> {
    let name = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(format!("is {name}, not a regular file"))
}

fn open(path: &Path) -> Result<File, String> {
    // It may have become a pipe since it was checked.
    let options = OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path);
    options.map_err(|error| format!("cannot be opened: {error}"))
}

fn read_open(file: &File, writers: Writers<'_>, hints: ReadHints, limits: SizeLimits) -> io::Result<Content> {
    let metadata = file.metadata()?;
    let stamp = FileStamp::of(&metadata);
    let unreadable = |error: String| Ok(Content::Unreadable { error, stamp: Some(stamp) });
    if let Err(error) = check_regular(metadata.file_type()) {
        return unreadable(error);
    }
    let _lease = match writers {
        Writers::None(lease) => Some(lease),
        Writers::Some => return Ok(Content::BeingWritten(stamp)),
        Writers::Unknown if hints.is_complete || hints.complete == Some(stamp) => None,
        Writers::Unknown => return Ok(Content::BeingWritten(stamp)),
    };
    let mut bytes = Vec::new();
    let limit = limits.file.min(limits.remaining);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    // Without a lease it may have been written in the meantime.
    if FileStamp::of(&file.metadata()?) != stamp {
        return Ok(Content::BeingWritten(stamp));
    }
    if let Err(error) = limits.check(bytes.len() as u64) {
        return unreadable(error);
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Content::Text { text, stamp }),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
            unreadable(format!("line {line} is not UTF-8; save the file as UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SizeLimits = SizeLimits { file: 10, remaining: 10 };

    /// If the kernel does not report writers, the observed events decide.
    #[test]
    fn without_a_lease_a_file_is_read_if_events_say_that_it_is_complete() {
        let tempdir = tempfile::TempDir::new().unwrap();
        let path = tempdir.path().join("a.yaml");
        fs::write(&path, "a: b").unwrap();
        let stamp = FileStamp::of(&fs::metadata(&path).unwrap());
        let read = |hints| {
            let file = File::open(&path).unwrap();
            read_open(&file, Writers::Unknown, hints, LIMITS).unwrap()
        };
        let text = Content::Text { text: "a: b".into(), stamp };
        assert_eq!(read(ReadHints::default()), Content::BeingWritten(stamp));
        assert_eq!(read(ReadHints { is_complete: true, ..ReadHints::default() }), text);
        assert_eq!(read(ReadHints { complete: Some(stamp), ..ReadHints::default() }), text);
        let other = Some(FileStamp { length: 5, ..stamp });
        assert_eq!(read(ReadHints { complete: other, ..ReadHints::default() }), Content::BeingWritten(stamp));
    }

    #[test]
    fn a_writer_blocks_on_the_lease_and_no_signal_terminates_the_process() {
        let tempdir = tempfile::TempDir::new().unwrap();
        let path = tempdir.path().join("a.yaml");
        fs::write(&path, "a: b").unwrap();
        let file = File::open(&path).unwrap();
        let Writers::None(lease) = read_lease::request(&file) else { panic!("no lease") };
        let writer = std::thread::spawn(move || File::create(path).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!writer.is_finished());
        assert_eq!(file.metadata().unwrap().len(), 4);
        drop(lease);
        let writer = writer.join().unwrap();
        assert!(matches!(read_lease::request(&file), Writers::Some));
        drop(writer);
        assert!(matches!(read_lease::request(&file), Writers::None(_)));
    }
}
