//! The file's format: JSON with a format number.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use lb_api::objects::{self, Object, Sourced};
use lb_model::last_good::LastGood;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// This format's number.
const FORMAT: u64 = 1;
/// A longer file is not ours: ten thousand objects are shorter.
const LONGEST: u64 = 64 << 20;
/// A BGPPeer may hold a password.
const MODE: u32 = 0o600;
/// The first bytes of every format: a file that begins otherwise was not written by an agent.
const BEGINNING: &[u8] = br#"{"format":"#;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It does not exist.
    #[error("the file does not exist")]
    Missing,
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a directory, a pipe, or too long.
    #[error("not a regular file of up to {} MiB", LONGEST >> 20)]
    NotAFile,
    /// It is truncated, or was edited.
    #[error("the file is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Another program wrote it.
    #[error("the file was not written by an agent")]
    Foreign,
    /// A later version wrote it.
    #[error("the file has format {0}; this version of fairlead reads format {FORMAT}")]
    Format(u64),
    /// It holds objects of another source.
    #[error("the file is of {0}, not of this source")]
    Elsewhere(String),
}

impl ReadError {
    /// Returns whether the file may be overwritten: it holds nothing of another program.
    pub(super) fn may_be_replaced(&self) -> bool {
        match self {
            Self::Missing | Self::Damaged(_) | Self::Format(_) | Self::Elsewhere(_) => true,
            Self::Io(_) | Self::NotAFile | Self::Foreign => false,
        }
    }
}

/// The part that all formats share.
#[derive(Deserialize)]
struct Header {
    format: u64,
}

#[derive(Serialize, Deserialize)]
struct Content {
    format: u64,
    origin: String,
    objects: Vec<Entry>,
}

/// An object and where it was read: an object keeps its source when its file becomes invalid.
#[derive(Serialize, Deserialize)]
struct Entry {
    source: String,
    line: usize,
    object: Value,
}

/// Reads the file. An invalid object in it is a warning, and the others are used.
pub(super) fn read(path: &Path, origin: &str) -> Result<LastGood, ReadError> {
    // Checked before opening it: a pipe would block until it has a writer.
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::Missing),
        Err(error) => return Err(error.into()),
    };
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(ReadError::NotAFile);
    }
    let text = fs::read(path)?;
    if !text.is_empty() && !text.starts_with(BEGINNING) {
        return Err(ReadError::Foreign);
    }
    let Header { format } = serde_json::from_slice(&text)?;
    if format != FORMAT {
        return Err(ReadError::Format(format));
    }
    let content: Content = serde_json::from_slice(&text)?;
    if content.origin != origin {
        return Err(ReadError::Elsewhere(content.origin));
    }
    Ok(content.objects.into_iter().filter_map(|entry| entry.read(path)).collect())
}

/// Returns whether there is a file that an agent has written, of any version and perhaps truncated.
pub(super) fn is_own(path: &Path) -> bool {
    let is_file = fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() <= LONGEST);
    let mut beginning = Vec::new();
    let read = |file: File| file.take(BEGINNING.len() as u64).read_to_end(&mut beginning);
    is_file && File::open(path).and_then(read).is_ok() && (beginning.is_empty() || beginning == BEGINNING)
}

/// Writes the file atomically: a reader finds the old contents or the new.
pub(super) fn write(path: &Path, origin: &str, accepted: &LastGood) -> io::Result<()> {
    let objects = accepted.objects().filter_map(Entry::of).collect();
    let text = serde_json::to_vec(&Content { format: FORMAT, origin: origin.to_owned(), objects })?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    // Left by an agent that was killed while writing.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
    file.write_all(&text)?;
    // Otherwise a power failure could leave the name without its contents.
    file.sync_all()?;
    fs::rename(&draft, path)
}

impl Entry {
    fn of(object: &Sourced<Object>) -> Option<Self> {
        let (source, line) = (object.source.clone(), object.line);
        Some(Self { source, line, object: object.value.to_json()? })
    }

    fn read(self, path: &Path) -> Option<Sourced<Object>> {
        let (read, problems) = objects::from_json(self.object);
        for problem in problems {
            tracing::warn!(path = %path.display(), %problem, "skipped an invalid object of the last-known-good configuration");
        }
        let value = read.into_iter().next()?.value;
        Some(Sourced { source: self.source, line: self.line, value })
    }
}
