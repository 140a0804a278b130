//! The rings through memory: the map is mapped into this process, and a slot is two 64-bit stores.
#![allow(unsafe_code, reason = "the one place that maps kernel memory and reads and writes it")]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use lb_common::ring::Slot;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The whole `lb_rings` map in this process's memory.
#[derive(Debug)]
pub struct MappedRings {
    first: NonNull<AtomicU64>,
    slots: usize,
}

// SAFETY: the memory is only ever touched by atomic loads and stores.
unsafe impl Send for MappedRings {}

impl MappedRings {
    /// Maps a `BPF_F_MMAPABLE` array of `slots` slots.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn new(map: impl AsFd, slots: usize) -> io::Result<Self> {
        let bytes = NonZeroUsize::new(slots * size_of::<Slot>())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the map of rings has no slots"))?;
        // SAFETY: a new shared mapping at an address of the kernel's choice overlaps nothing.
        let memory = unsafe {
            mmap(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, map, 0)
        }?;
        Ok(Self { first: memory.cast(), slots })
    }

    /// Slots in the map.
    pub const fn len(&self) -> usize {
        self.slots
    }

    /// Whether the map has no slots; it never is so.
    pub const fn is_empty(&self) -> bool {
        self.slots == 0
    }

    /// Reads a slot; `None` outside the map.
    pub fn read(&self, slot: usize) -> Option<Slot> {
        let [order, former] = self.words(slot)?;
        Some(Slot::from_words(order.load(Ordering::Acquire), former.load(Ordering::Acquire)))
    }

    /// Writes a slot, each word at once; false outside the map.
    ///
    /// The former leaders go first: a program that already sees the new leader then also sees whom it is to
    /// ask.
    #[must_use]
    pub fn write(&self, slot: usize, value: Slot) -> bool {
        let Some([order, former]) = self.words(slot) else { return false };
        former.store(value.former_word(), Ordering::Release);
        order.store(value.order_word(), Ordering::Release);
        true
    }

    fn words(&self, slot: usize) -> Option<[&AtomicU64; 2]> {
        if slot >= self.slots {
            return None;
        }
        let word = |at: usize| {
            // SAFETY: `at` is below twice the number of slots, all of which are mapped for as long as self lives.
            let pointer = unsafe { self.first.add(at) };
            // SAFETY: mapped, aligned to a page at its start and to eight bytes here, and only used atomically.
            unsafe { pointer.as_ref() }
        };
        Some([word(slot * 2), word(slot * 2 + 1)])
    }
}

impl Drop for MappedRings {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and no reference into it outlives self.
        let _ = unsafe { munmap(self.first.cast(), self.slots * size_of::<Slot>()) };
    }
}
