//! Memory-mapped BPF arrays, read and written 64 bits at a time.
#![allow(unsafe_code, reason = "the one place that maps kernel memory and reads and writes it")]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The size of a word in bytes.
const WORD: usize = size_of::<u64>();

/// A whole `BPF_F_MMAPABLE` array, as 64-bit words.
#[derive(Debug)]
pub struct MappedWords {
    first: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the memory is accessed only by atomic loads and stores.
unsafe impl Send for MappedWords {}
// SAFETY: as above.
unsafe impl Sync for MappedWords {}

impl MappedWords {
    /// Maps an array of `words` words.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn new(map: impl AsFd, words: usize) -> io::Result<Self> {
        let bytes = NonZeroUsize::new(words * WORD)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the map has no entries"))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new shared mapping at an address of the kernel's choice overlaps nothing.
        let memory = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { first: memory.cast(), words })
    }

    /// Returns the number of words.
    pub const fn len(&self) -> usize {
        self.words
    }

    /// Returns whether the array is empty, which it never is.
    pub const fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// Reads a word; `None` outside the array.
    pub fn read(&self, at: usize) -> Option<u64> {
        self.word(at).map(|word| word.load(Ordering::Acquire))
    }

    /// Returns the `N` words of an entry; `None` outside the array.
    pub fn chunk<const N: usize>(&self, entry: usize) -> Option<&[AtomicU64; N]> {
        let at = entry.checked_mul(N).filter(|at| *at + N <= self.words)?;
        // SAFETY: `at` is within the words, which stay mapped for the lifetime of self.
        let pointer = unsafe { self.first.add(at) };
        // SAFETY: N words from there are mapped, aligned as in `word`, and accessed only atomically.
        Some(unsafe { pointer.cast().as_ref() })
    }

    /// Writes a word; false outside the array.
    #[must_use]
    pub fn write(&self, at: usize, value: u64) -> bool {
        self.word(at).map(|word| word.store(value, Ordering::Release)).is_some()
    }

    fn word(&self, at: usize) -> Option<&AtomicU64> {
        if at >= self.words {
            return None;
        }
        // SAFETY: `at` is within the words, which stay mapped for the lifetime of self.
        let pointer = unsafe { self.first.add(at) };
        // SAFETY: mapped, aligned to a page at the start and to eight bytes here, and accessed only
        // atomically.
        Some(unsafe { pointer.as_ref() })
    }
}

impl Drop for MappedWords {
    fn drop(&mut self) {
        // SAFETY: self owns the mapping of this length, and no reference into it outlives self.
        let _ = unsafe { munmap(self.first.cast(), self.words * WORD) };
    }
}
