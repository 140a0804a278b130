//! The ring maps: all slots (`lb_rings`), and the leader of each slot (`lb_leaders`), which suffices for most
//! packets.

use lb_common::map_table::name;
use lb_common::maps::capacity;
use lb_common::ring::{LEADERS_A_WORD, NO_NODE, NodeIndex, Slot, SlotLeader, WORDS};

use crate::map_io::{MapsError, open_mapped};
use crate::mapping::MappedWords;
use crate::pins::Pins;

const _: () = assert!(capacity::NODES < SlotLeader::LIMIT as usize);

/// The rings of all VIPs.
pub(super) struct RingMaps {
    slots: MappedWords,
    leaders: MappedWords,
    /// The index of this node.
    own: NodeIndex,
}

impl RingMaps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is not pinned or not of this layout.
    pub(super) fn open(pins: &Pins) -> Result<Self, MapsError> {
        let (slots, leaders) = (open_mapped(pins, name::RINGS, WORDS)?, open_mapped(pins, name::LEADERS, 1)?);
        Ok(Self { slots, leaders, own: NO_NODE })
    }

    /// Returns the number of slots.
    pub(super) const fn capacity(&self) -> usize {
        self.slots.len() / WORDS
    }

    /// Sets the index of this node. A new index rewrites `lb_leaders`, which depends on it.
    ///
    /// # Errors
    /// When the maps are of different sizes.
    pub(super) fn set_own(&mut self, own: NodeIndex) -> Result<(), MapsError> {
        if self.own == own {
            return Ok(());
        }
        self.own = own;
        (0..self.capacity()).try_for_each(|number| match self.slot(number) {
            Some(slot) => self.write_leader(number, slot),
            None => Err(MapsError::NoSuchSlot(number)),
        })
    }

    /// Writes consecutive slots, beginning at `first`.
    ///
    /// # Errors
    /// When one is outside the map.
    pub(super) fn write(&self, first: usize, slots: &[Slot]) -> Result<(), MapsError> {
        for (number, slot) in (first..).zip(slots) {
            // Former leaders first: a program that sees the new leader must also see the nodes to ask.
            // `lb_leaders` last: it lets the program skip the former leaders.
            for (place, word) in slot.to_words().into_iter().enumerate().rev() {
                if !self.slots.write(number * WORDS + place, word) {
                    return Err(MapsError::NoSuchSlot(number));
                }
            }
            self.write_leader(number, *slot)?;
        }
        Ok(())
    }

    /// Reads a slot; `None` outside the map.
    pub(super) fn slot(&self, number: usize) -> Option<Slot> {
        let mut words = [0; WORDS];
        for (place, word) in words.iter_mut().enumerate() {
            *word = self.slots.read(number * WORDS + place)?;
        }
        Some(Slot::from_words(words))
    }

    fn write_leader(&self, number: usize, slot: Slot) -> Result<(), MapsError> {
        let at = number / LEADERS_A_WORD;
        let word = self.leaders.read(at).ok_or(MapsError::NoSuchSlot(number))?;
        let changed = SlotLeader::of(slot, self.own).put(word, number as u32);
        if changed == word || self.leaders.write(at, changed) {
            Ok(())
        } else {
            Err(MapsError::NoSuchSlot(number))
        }
    }
}
