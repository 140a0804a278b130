//! The file: JSON with a number for its format.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use lb_api::objects::{self, Object, Sourced};
use lb_model::last_good::LastGood;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The number of this format.
const FORMAT: u64 = 1;
/// A longer file is none of ours: some ten thousand objects are shorter.
const LONGEST: u64 = 64 << 20;
/// A BGPPeer may hold a password.
const MODE: u32 = 0o600;
/// What every format begins with: a file that begins otherwise is not an agent's.
const BEGINNING: &[u8] = br#"{"format":"#;

/// Why a file says nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// There is none.
    #[error("there is no such file")]
    Missing,
    /// The system does not give it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a directory, a pipe, or too long.
    #[error("this is no file of up to {} MiB", LONGEST >> 20)]
    NotAFile,
    /// It is cut off, or somebody has written to it.
    #[error("it is not as an agent writes it: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It is another program's.
    #[error("it does not begin as an agent writes it")]
    Foreign,
    /// A later version wrote it.
    #[error("it is of format {0}, and this version of fairlead reads format {FORMAT}")]
    Format(u64),
    /// It tells of other objects.
    #[error("it is of {0}, and not of this source")]
    Elsewhere(String),
}

impl ReadError {
    /// Whether a file may be written in this one's place: nothing of anybody else is lost by it.
    pub(super) fn may_be_replaced(&self) -> bool {
        match self {
            Self::Missing | Self::Damaged(_) | Self::Format(_) | Self::Elsewhere(_) => true,
            Self::Io(_) | Self::NotAFile | Self::Foreign => false,
        }
    }
}

/// What any format has.
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

/// An object, and where it was written: a file that breaks keeps its objects.
#[derive(Serialize, Deserialize)]
struct Entry {
    source: String,
    line: usize,
    object: Value,
}

/// Reads the file. An object in it that cannot be read is a warning, and the others count.
pub(super) fn read(path: &Path, origin: &str) -> Result<LastGood, ReadError> {
    // Before it is opened: a pipe would wait for a writer.
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

/// Writes the file: whoever reads it finds the old content or the new one.
pub(super) fn write(path: &Path, origin: &str, accepted: &LastGood) -> io::Result<()> {
    let objects = accepted.objects().filter_map(Entry::of).collect();
    let text = serde_json::to_vec(&Content { format: FORMAT, origin: origin.to_owned(), objects })?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    // What an agent has left that was killed as it wrote.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
    file.write_all(&text)?;
    // Or the machine could lose its power between the name and what it names.
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
            tracing::warn!(path = %path.display(), %problem, "what was accepted before of this object is not known");
        }
        let value = read.into_iter().next()?.value;
        Some(Sourced { source: self.source, line: self.line, value })
    }
}
