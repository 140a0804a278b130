//! The keys of the tags on what nodes say to each other, out of a file that may change while the agent runs.
//!
//! A line each, the one in use first: a number from 0 to 255, and 32 hexadecimal digits or the word `hash-key`, which is
//! the key that is made from that of the flow hash. The second line, if there is one, is valid too. In Kubernetes the
//! file is a Secret that is mounted, which the kubelet keeps up to date; the agent needs no right to read it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_common::hash::HashKey;
use lb_common::tag::{TagKey, TagKeys, derive};
use tokio::sync::watch;

/// How often the file is read.
const READ_EVERY: Duration = Duration::from_secs(2);
/// Two lines with comments around them are less.
const LONGEST: u64 = 4096;
/// Stands for the key that is made from that of the flow hash.
const DERIVED: &str = "hash-key";

/// Why a file holds no keys.
#[derive(Debug, thiserror::Error)]
pub enum TagKeysError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Nothing is in it.
    #[error("it holds no key; write one line: a number from 0 to 255, a space, 32 hexadecimal digits")]
    Empty,
    /// One line is no key.
    #[error("line {0} is not a number from 0 to 255, a space, and 32 hexadecimal digits or \"{DERIVED}\"")]
    Line(usize),
    /// Three or more.
    #[error("it holds more than two keys; keep the one in use and one other")]
    TooMany,
    /// A packet names its key by number.
    #[error("both keys have number {0}; give the new key another number")]
    SameNumber(u8),
    /// It cannot be all of it.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
}

/// What was read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagKeysRead {
    /// The keys in force.
    pub keys: TagKeys,
    /// Why these are not those of the file.
    pub problem: Option<String>,
}

/// The file, or the lack of one.
#[derive(Clone, Debug)]
pub struct TagKeysFile {
    path: Option<PathBuf>,
    hash_key: HashKey,
    keys: TagKeys,
}

impl TagKeysFile {
    /// Reads the file. Where there is none, the key is made from that of the flow hash.
    ///
    /// # Errors
    /// When the file is there and holds no keys.
    pub fn open(path: Option<PathBuf>, hash_key: HashKey) -> Result<Self, TagKeysError> {
        let keys = match path.as_deref().map(|path| read(path, &hash_key)) {
            Some(Err(TagKeysError::Read(error))) if error.kind() == io::ErrorKind::NotFound => None,
            Some(read) => Some(read?),
            None => None,
        };
        Ok(Self { path, hash_key, keys: keys.unwrap_or(TagKeys::derived(&hash_key)) })
    }

    /// The keys that were read at first.
    pub fn keys(&self) -> TagKeys {
        self.keys
    }

    /// Reads the file every few seconds, for as long as somebody listens. What cannot be read, or is gone, leaves the
    /// keys as they are: a node that fell back to another key would be dead to the others.
    pub fn watch(self) -> watch::Receiver<TagKeysRead> {
        self.watch_every(READ_EVERY)
    }

    fn watch_every(self, period: Duration) -> watch::Receiver<TagKeysRead> {
        let (changes, receiver) = watch::channel(TagKeysRead { keys: self.keys, problem: None });
        let Self { path: Some(path), hash_key, keys } = self else { return receiver };
        let mut was_there = keys != TagKeys::derived(&hash_key);
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
                    && !was_there
                {
                    continue;
                }
                was_there = true;
                note(&changes, &path, read);
            }
        });
        receiver
    }
}

/// Hands on what has been read, where it is something new.
fn note(changes: &watch::Sender<TagKeysRead>, path: &Path, read: Result<TagKeys, TagKeysError>) {
    changes.send_if_modified(|before| {
        let now = match read {
            Ok(keys) => TagKeysRead { keys, problem: None },
            Err(error) => {
                let path = path.display();
                let problem =
                    format!("tag keys {path}: {error}; the keys that were read before stay in force");
                TagKeysRead { keys: before.keys, problem: Some(problem) }
            }
        };
        if now.keys != before.keys {
            let other = now.keys.other.map(|key| key.id);
            tracing::info!(current = now.keys.current.id, ?other, "read new tag keys");
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
