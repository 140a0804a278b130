//! The slots of a ring, shared between equal rings.

use std::ops::Deref;
use std::sync::Arc;

use lb_common::ring::Slot;

/// The slots of a ring. A copy shares the memory, so that two are usually known to be equal without comparing
/// what may be millions of slots.
#[derive(Clone, Debug, Eq)]
pub struct Slots(Arc<[Slot]>);

impl Slots {
    /// Overwrites slots, the first of them number `first`; returns false if there are too few.
    pub(super) fn overwrite(&mut self, first: usize, slots: &[Slot]) -> bool {
        let is_within = first.checked_add(slots.len()).is_some_and(|end| end <= self.0.len());
        if is_within {
            let behind = Arc::make_mut(&mut self.0).iter_mut().skip(first);
            behind.zip(slots).for_each(|(before, slot)| *before = *slot);
        }
        is_within
    }

    /// Returns whether they share memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for Slots {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl Deref for Slots {
    type Target = [Slot];

    fn deref(&self) -> &[Slot] {
        &self.0
    }
}

impl From<&[Slot]> for Slots {
    fn from(slots: &[Slot]) -> Self {
        Self(slots.into())
    }
}

impl From<Vec<Slot>> for Slots {
    fn from(slots: Vec<Slot>) -> Self {
        Self(slots.into())
    }
}

impl FromIterator<Slot> for Slots {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        Self(slots.into_iter().collect())
    }
}
