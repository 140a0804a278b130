//! The keys of the tags between nodes, read from a file that may change while the agent runs.
//!
//! The file has one or two lines. Each is a number from 0 to 255 and 32 hexadecimal digits, or the word
//! `hash-key` for the key derived from the hash key. The first key signs; both verify. In Kubernetes the file
//! is a mounted Secret that the kubelet keeps up to date, so the agent needs no permission to read it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_common::hash::HashKey;
use lb_common::tag::{TagKey, TagKeys, derive};
use tokio::sync::watch;

/// Interval at which the file is read.
const READ_EVERY: Duration = Duration::from_secs(2);
/// More than two lines with comments need, in bytes.
const LONGEST: u64 = 4096;
/// The word for the key derived from the hash key.
const DERIVED: &str = "hash-key";

/// Why a file has no valid keys.
#[derive(Debug, thiserror::Error)]
pub enum TagKeysError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The file is empty.
    #[error("the file has no key; write one line: a number from 0 to 255, a space, 32 hexadecimal digits")]
    Empty,
    /// A line is invalid.
    #[error("line {0} is not a number from 0 to 255, a space, and 32 hexadecimal digits or \"{DERIVED}\"")]
    Line(usize),
    /// More than two keys.
    #[error("the file has more than two keys; keep the current one and one other")]
    TooMany,
    /// Two keys with one number: a packet names its key by the number.
    #[error("both keys have number {0}; give the new key another number")]
    SameNumber(u8),
    /// The file is too long.
    #[error("the file is longer than {LONGEST} bytes")]
    TooLong,
}

/// The result of the last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagKeysRead {
    /// The active keys.
    pub keys: TagKeys,
    /// Why they differ from those of the file.
    pub problem: Option<String>,
}

/// The file of tag keys, if there is one.
#[derive(Clone, Debug)]
pub struct TagKeysFile {
    path: Option<PathBuf>,
    hash_key: HashKey,
    keys: TagKeys,
}

impl TagKeysFile {
    /// Reads the file. Without one, the key is derived from the hash key.
    ///
    /// # Errors
    /// When the file exists and has no valid keys.
    pub fn open(path: Option<PathBuf>, hash_key: HashKey) -> Result<Self, TagKeysError> {
        let keys = match path.as_deref().map(|path| read(path, &hash_key)) {
            Some(Err(TagKeysError::Read(error))) if error.kind() == io::ErrorKind::NotFound => None,
            Some(read) => Some(read?),
            None => None,
        };
        Ok(Self { path, hash_key, keys: keys.unwrap_or(TagKeys::derived(&hash_key)) })
    }

    /// Returns the keys of the first read.
    pub fn keys(&self) -> TagKeys {
        self.keys
    }

    /// Reads the file every few seconds while a receiver exists. If the file is removed or cannot be read,
    /// the keys stay: other nodes would find a node dead that falls back to another key.
    pub fn watch(self) -> watch::Receiver<TagKeysRead> {
        self.watch_every(READ_EVERY)
    }

    fn watch_every(self, period: Duration) -> watch::Receiver<TagKeysRead> {
        let (changes, receiver) = watch::channel(TagKeysRead { keys: self.keys, problem: None });
        let Self { path: Some(path), hash_key, keys } = self else { return receiver };
        let mut has_existed = keys != TagKeys::derived(&hash_key);
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(period);
            clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !changes.is_closed() {
                clock.tick().await;
                let file = path.clone();
                // The file system may be slow.
                let Ok(read) = tokio::task::spawn_blocking(move || read(&file, &hash_key)).await else {
                    return;
                };
                if let Err(TagKeysError::Read(error)) = &read
                    && error.kind() == io::ErrorKind::NotFound
                    && !has_existed
                {
                    continue;
                }
                has_existed = true;
                note(&changes, &path, read);
            }
        });
        receiver
    }
}

/// Publishes the result of a read if it differs from the last.
fn note(changes: &watch::Sender<TagKeysRead>, path: &Path, read: Result<TagKeys, TagKeysError>) {
    changes.send_if_modified(|before| {
        let now = match read {
            Ok(keys) => TagKeysRead { keys, problem: None },
            Err(error) => {
                let path = path.display();
                let problem = format!("tag keys {path}: {error}; the keys read before stay active");
                TagKeysRead { keys: before.keys, problem: Some(problem) }
            }
        };
        if now.keys != before.keys {
            let other = now.keys.other.map(|key| key.id);
            tracing::info!(current = now.keys.current.id, ?other, "loaded new tag keys");
        }
        let differs = *before != now;
        *before = now;
        differs
    });
}

fn read(path: &Path, hash_key: &HashKey) -> Result<TagKeys, TagKeysError> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST { Err(TagKeysError::TooLong) } else { parse(&text, hash_key) }
}

fn parse(text: &str, hash_key: &HashKey) -> Result<TagKeys, TagKeysError> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let mut keys = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| parse_line(line, hash_key).ok_or(TagKeysError::Line(number)));
    let current = keys.next().ok_or(TagKeysError::Empty)??;
    let other = keys.next().transpose()?;
    if keys.next().is_some() {
        return Err(TagKeysError::TooMany);
    }
    match other {
        Some(other) if other.id == current.id => Err(TagKeysError::SameNumber(other.id)),
        other => Ok(TagKeys { current, other }),
    }
}

fn parse_line(line: &str, hash_key: &HashKey) -> Option<TagKey> {
    let (id, key) = line.split_once(char::is_whitespace)?;
    let key = key.trim_start();
    let key = if key == DERIVED { derive(hash_key) } else { crate::hash_key::parse(key)? };
    Some(TagKey { id: id.parse().ok()?, key })
}

#[cfg(test)]
mod tests;
