//! Reading of one file, as a whole or not at all. Nothing here waits for another process, whatever the file is.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use libc::{O_NOCTTY, O_NONBLOCK};

use super::read_lease::{self, Writers};

/// Bytes that are read of a file.
pub(super) const MAX_FILE: u64 = 32 << 20;
/// What is reported of a file that is not read for this.
pub(super) const BEING_WRITTEN: &str = "a process has it open for writing";

/// Identity of a path's content, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a path holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing: it is not there.
    Missing,
    /// What it held when it had this stamp.
    Unchanged,
    /// Nothing that counts yet: a process has it open for writing, or may have.
    BeingWritten(Stamp),
    /// This text.
    Text {
        /// The text.
        text: String,
        /// Its stamp.
        stamp: Stamp,
    },
    /// Something that is no text of a file, and why.
    Unfit {
        /// Why.
        error: String,
        /// Its stamp, where it has one.
        stamp: Option<Stamp>,
    },
}

/// What is known of a path before it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// The stamp of what was last read, where that need not be read again.
    pub(super) read: Option<Stamp>,
    /// The stamp of what is whole even where the kernel does not say who writes.
    pub(super) whole: Option<Stamp>,
    /// Whether it is whole by what has been observed of it.
    pub(super) is_whole: bool,
}

/// Bytes of text for which a file may be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In one file.
    pub(super) file: u64,
    /// In this file, with what the others hold.
    pub(super) left: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Limits {
    fn check(&self, length: u64) -> Result<(), String> {
        if length > self.file {
            Err(format!("it holds more than the {} MiB that are read of a file; split it", self.file >> 20))
        } else if length > self.left {
            Err("together with the other files it holds more than is read of a directory".to_owned())
        } else {
            Ok(())
        }
    }
}

/// Reads a file that nothing is known of.
///
/// # Errors
/// What is in the way.
pub fn read_once(path: &Path) -> Result<String, String> {
    match read(path, Known { is_whole: true, ..Known::default() }, Limits { file: MAX_FILE, left: MAX_FILE })
    {
        Content::Text { text, .. } => Ok(text),
        Content::Unfit { error, .. } => Err(error),
        Content::BeingWritten(_) => Err(BEING_WRITTEN.to_owned()),
        Content::Missing | Content::Unchanged => Err("it is not there".to_owned()),
    }
}

/// Reads a path, following links.
pub(super) fn read(path: &Path, known: Known, limits: Limits) -> Content {
    let unfit = |error: String, stamp| Content::Unfit { error, stamp };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_link = path.symlink_metadata().is_ok();
            return if is_link { unfit("it links to nothing".into(), None) } else { Content::Missing };
        }
        Err(error) => return unfit(format!("cannot be read: {error}"), None),
    };
    let stamp = Stamp::of(&metadata);
    if known.read == Some(stamp) {
        return Content::Unchanged;
    }
    let fit = regular(metadata.file_type()).and_then(|()| limits.check(metadata.len()));
    match fit.and_then(|()| open(path)) {
        Ok(file) => read_open(&file, read_lease::take(&file), known, limits)
            .unwrap_or_else(|error| unfit(format!("cannot be read: {error}"), Some(stamp))),
        Err(error) => unfit(error, Some(stamp)),
    }
}

/// Opening what is no regular file can wait for another process, and can move a tape.
fn regular(kind: FileType) -> Result<(), String> {
    let name = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(format!("it is {name} and no regular file"))
}

fn open(path: &Path) -> Result<File, String> {
    // It may have become a pipe since it was looked at.
    let options = OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path);
    options.map_err(|error| format!("cannot be opened: {error}"))
}

fn read_open(file: &File, writers: Writers<'_>, known: Known, limits: Limits) -> io::Result<Content> {
    let metadata = file.metadata()?;
    let stamp = Stamp::of(&metadata);
    let unfit = |error: String| Ok(Content::Unfit { error, stamp: Some(stamp) });
    if let Err(error) = regular(metadata.file_type()) {
        return unfit(error);
    }
    let _lease = match writers {
        Writers::None(lease) => Some(lease),
        Writers::Some => return Ok(Content::BeingWritten(stamp)),
        Writers::Unknown if known.is_whole || known.whole == Some(stamp) => None,
        Writers::Unknown => return Ok(Content::BeingWritten(stamp)),
    };
    let mut bytes = Vec::new();
    let limit = limits.file.min(limits.left);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    // Without a lease it may have been written meanwhile.
    if Stamp::of(&file.metadata()?) != stamp {
        return Ok(Content::BeingWritten(stamp));
    }
    if let Err(error) = limits.check(bytes.len() as u64) {
        return unfit(error);
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Content::Text { text, stamp }),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
            unfit(format!("line {line} is not UTF-8; save the file in this encoding"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { file: 10, left: 10 };

    /// Where the kernel does not say who writes a file, it counts by what has been observed of it.
    #[test]
    fn without_a_lease_a_file_is_read_when_it_is_whole_by_what_was_observed() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("a.yaml");
        fs::write(&path, "a: b").unwrap();
        let stamp = Stamp::of(&fs::metadata(&path).unwrap());
        let read = |known| {
            let file = File::open(&path).unwrap();
            read_open(&file, Writers::Unknown, known, LIMITS).unwrap()
        };
        let text = Content::Text { text: "a: b".into(), stamp };
        assert_eq!(read(Known::default()), Content::BeingWritten(stamp));
        assert_eq!(read(Known { is_whole: true, ..Known::default() }), text);
        assert_eq!(read(Known { whole: Some(stamp), ..Known::default() }), text);
        let other = Some(Stamp { length: 5, ..stamp });
        assert_eq!(read(Known { whole: other, ..Known::default() }), Content::BeingWritten(stamp));
    }

    #[test]
    fn a_writer_waits_for_the_lease_and_no_signal_ends_the_process() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("a.yaml");
        fs::write(&path, "a: b").unwrap();
        let file = File::open(&path).unwrap();
        let Writers::None(lease) = read_lease::take(&file) else { panic!("no lease") };
        let writer = std::thread::spawn(move || File::create(path).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!writer.is_finished());
        assert_eq!(file.metadata().unwrap().len(), 4);
        drop(lease);
        let writer = writer.join().unwrap();
        assert!(matches!(read_lease::take(&file), Writers::Some));
        drop(writer);
        assert!(matches!(read_lease::take(&file), Writers::None(_)));
    }
}
