//! The journal of a stream: the octets that were or will be written to its socket, in a file that is only
//! memory and lives as long as any process has it open.
//!
//! ```text
//!  0       8         16     24         32           40          48  64
//!  │ magic │ version │ base │ snapshot │ generation │ committed │ … │ snapshot │ stream …
//! ```
//!
//! All numbers are little-endian. `snapshot` and `committed` are lengths in octets. Octets of the stream are
//! written first, then the committed length by one `pwrite` of eight aligned octets, which a kill cannot
//! divide: an append that is interrupted has not happened.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

const MAGIC: [u8; 8] = *b"FLSTREAM";
const VERSION: u32 = 1;
const HEADER: usize = 64;
const BASE: usize = 16;
const SNAPSHOT: usize = 24;
const GENERATION: usize = 32;
const COMMITTED: usize = 40;

/// Maximum size of snapshot and stream together.
const MAX_SIZE: u64 = 64 << 20;

/// The journal of one stream.
///
/// One process at a time may append and write to the socket. The generation is a fence between them: when the
/// keeper takes a stream over from an agent, it raises the generation, and [`append`](Self::append) by that
/// agent fails from then on.
#[derive(Debug)]
pub struct Journal {
    file: File,
    base: u64,
    snapshot: u64,
    generation: u64,
    committed: u64,
}

/// Reasons why a journal cannot be read or appended to.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file is none, or not of this version.
    #[error("not a journal of version {VERSION}")]
    Format,
    /// The lengths in its header do not fit the file.
    #[error("the journal is damaged: its lengths exceed its size")]
    Length,
    /// The socket and the journal do not belong together, or octets were written that are not in the journal.
    #[error("position {written} is outside the journal, which covers {base} to {end}")]
    Position {
        /// The position of the socket.
        written: u64,
        /// The first position of the journal.
        base: u64,
        /// The position after its last octet.
        end: u64,
    },
    /// Another process has taken the stream over. Drop the socket: neither write to it nor shut it down.
    #[error("another process has taken the stream over")]
    Fenced,
    /// The journal has its maximum size.
    #[error("the journal is full")]
    Full,
    /// The kernel's error, such as too little memory.
    #[error("cannot access the journal: {0}")]
    Io(#[from] io::Error),
}

impl From<JournalError> for io::Error {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

impl Journal {
    /// Creates the journal of a socket whose [position](crate::position::written) is `base`. `snapshot`
    /// describes what was written before; it is not part of the stream.
    ///
    /// # Errors
    /// If there is too little memory, or the snapshot is longer than a journal may be.
    pub fn create(base: u64, snapshot: &[u8]) -> io::Result<Self> {
        let length = snapshot.len() as u64;
        if length > MAX_SIZE {
            return Err(JournalError::Full.into());
        }
        let file = File::from(memfd_create("fairlead-journal", MFdFlags::MFD_CLOEXEC)?);
        let mut header = Vec::with_capacity(HEADER + snapshot.len());
        header.extend(MAGIC);
        header.extend(u64::from(VERSION).to_le_bytes());
        header.extend(base.to_le_bytes());
        header.extend(length.to_le_bytes());
        header.resize(HEADER, 0);
        header.extend(snapshot);
        file.write_all_at(&header, 0)?;
        Ok(Self { file, base, snapshot: length, generation: 0, committed: 0 })
    }

    /// Opens the journal of a stream that was claimed.
    ///
    /// # Errors
    /// If the file is not a journal of this version, or is damaged.
    pub fn open(file: OwnedFd) -> Result<Self, JournalError> {
        let file = File::from(file);
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => JournalError::Format,
            _ => JournalError::Io(error),
        })?;
        if !header.starts_with(&MAGIC) || number(&header, MAGIC.len()) != u64::from(VERSION) {
            return Err(JournalError::Format);
        }
        let journal = Self {
            base: number(&header, BASE),
            snapshot: number(&header, SNAPSHOT),
            generation: number(&header, GENERATION),
            committed: number(&header, COMMITTED),
            file,
        };
        let content = journal.snapshot.checked_add(journal.committed).filter(|&size| size <= MAX_SIZE);
        let end = content.and_then(|size| size.checked_add(HEADER as u64));
        match end {
            Some(end) if end <= journal.file.metadata()?.len() => Ok(journal),
            _ => Err(JournalError::Length),
        }
    }

    /// Appends octets, all of them or none. Append before writing to the socket.
    ///
    /// # Errors
    /// If another process has taken the stream over ([`JournalError::Fenced`]), or there is too little
    /// memory.
    pub fn append(&mut self, octets: &[u8]) -> Result<(), JournalError> {
        if self.is_fenced()? {
            return Err(JournalError::Fenced);
        }
        let committed = self.committed.saturating_add(octets.len() as u64);
        if self.snapshot.saturating_add(committed) > MAX_SIZE {
            return Err(JournalError::Full);
        }
        self.file.write_all_at(octets, self.offset(self.committed))?;
        self.file.write_all_at(&committed.to_le_bytes(), COMMITTED as u64)?;
        self.committed = committed;
        Ok(())
    }

    /// Returns whether another process has taken the stream over, and this one must not write to it.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn is_fenced(&self) -> io::Result<bool> {
        let mut current = [0; COMMITTED + 8 - GENERATION];
        self.file.read_exact_at(&mut current, GENERATION as u64)?;
        let is_same = number(&current, 0) == self.generation
            && number(&current, COMMITTED - GENERATION) == self.committed;
        Ok(!is_same)
    }

    /// Raises the generation, so that the former holder cannot append any more, and reads what it committed.
    ///
    /// # Errors
    /// If the journal cannot be read or written, or is damaged.
    pub(crate) fn fence(&mut self) -> Result<(), JournalError> {
        let mut current = Self::open(self.file.as_fd().try_clone_to_owned()?)?;
        current.generation = current.generation.wrapping_add(1);
        current.file.write_all_at(&current.generation.to_le_bytes(), GENERATION as u64)?;
        *self = current;
        Ok(())
    }

    /// Reads again how much is committed, when an append of the former holder may have ended after the fence.
    ///
    /// # Errors
    /// If the journal cannot be read, or is damaged.
    pub(crate) fn refresh(&mut self) -> Result<(), JournalError> {
        *self = Self::open(self.file.as_fd().try_clone_to_owned()?)?;
        Ok(())
    }

    /// Returns what describes the octets before `base`.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn snapshot(&self) -> io::Result<Vec<u8>> {
        self.read(HEADER as u64, self.snapshot)
    }

    /// Returns the octets of the stream since `base`.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn stream(&self) -> io::Result<Vec<u8>> {
        self.read(self.offset(0), self.committed)
    }

    /// Returns the number of octets of the stream since `base`.
    pub const fn stream_len(&self) -> u64 {
        self.committed
    }

    /// Returns the length of the snapshot.
    pub const fn snapshot_len(&self) -> u64 {
        self.snapshot
    }

    /// Returns the position of the socket at which the journal begins.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Returns the octets that are not yet written to the socket whose [position](crate::position::written)
    /// is `written`.
    ///
    /// # Errors
    /// If the position is outside the journal, or the journal cannot be read.
    pub fn unsent(&self, written: u64) -> Result<Vec<u8>, JournalError> {
        self.unsent_up_to(written, u64::MAX)
    }

    /// As [`unsent`](Self::unsent), but only the first `limit` octets.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn unsent_up_to(&self, written: u64, limit: u64) -> Result<Vec<u8>, JournalError> {
        let sent = written.wrapping_sub(self.base);
        let Some(rest) = self.committed.checked_sub(sent) else {
            let end = self.base.wrapping_add(self.committed);
            return Err(JournalError::Position { written, base: self.base, end });
        };
        Ok(self.read(self.offset(sent), rest.min(limit))?)
    }

    /// Returns the file, to pass it to the keeper.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn offset(&self, in_stream: u64) -> u64 {
        HEADER as u64 + self.snapshot + in_stream
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut octets = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut octets, offset)?;
        Ok(octets)
    }
}

fn number(octets: &[u8], at: usize) -> u64 {
    octets.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests;
