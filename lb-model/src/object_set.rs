//! The objects of the last update, and the changes to them.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::order::{Named, ObjectHandle};
use crate::table::Table;

/// The objects of the last update, without duplicates. It holds them, so that addresses in memory identify
/// unchanged ones.
#[derive(Clone, Debug)]
pub(super) struct ObjectSet<O> {
    /// In the order of the last update.
    list: Vec<O>,
    names: HashSet<Named<O>, BuildHasherDefault<DefaultHasher>>,
}

/// Removed and added objects. A replaced object is in both lists.
#[derive(Clone, Debug)]
pub(crate) struct ObjectChanges<O> {
    pub(crate) removed: Vec<O>,
    pub(crate) added: Vec<O>,
}

impl<O> Default for ObjectSet<O> {
    fn default() -> Self {
        Self { list: Vec::new(), names: HashSet::default() }
    }
}

impl<O> Default for ObjectChanges<O> {
    fn default() -> Self {
        Self { removed: Vec::new(), added: Vec::new() }
    }
}

impl<O: ObjectHandle> ObjectSet<O> {
    /// Takes the current objects; `None` if one of them exists twice, which clears the set.
    pub(super) fn see(&mut self, objects: &[O]) -> Option<ObjectChanges<O>> {
        let changes = self.replace(objects);
        for object in &changes.removed {
            self.names.remove(&Named(object.clone()));
        }
        let are_new = changes.added.iter().all(|object| self.names.insert(Named(object.clone())));
        if !are_new {
            *self = Self::default();
        }
        are_new.then_some(changes)
    }

    /// Replaces the list by these objects.
    ///
    /// Of tens of thousands, one or two have changed; so unchanged objects are moved without being read,
    /// because each access goes to main memory.
    fn replace(&mut self, objects: &[O]) -> ObjectChanges<O> {
        let is_same = |(old, new): &(&O, &O)| old.place() == new.place();
        let head = self.list.iter().zip(objects).take_while(is_same).count();
        let (old, new) = (self.list.get(head..), objects.get(head..));
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let tail = old.iter().rev().zip(new.iter().rev()).take_while(is_same).count();
        let (old, new) = (old.len() - tail, new.get(..new.len() - tail).unwrap_or_default());

        let former = self.list.drain(head..head + old).map(|object| (object.place(), object));
        let mut former: Table<usize, O> = former.collect();
        let mut added = Vec::new();
        let between = new.iter().map(|object| {
            former.remove(&object.place()).unwrap_or_else(|| {
                added.push(object.clone());
                object.clone()
            })
        });
        let between: Vec<O> = between.collect();
        self.list.splice(head..head, between);
        ObjectChanges { removed: former.into_values().collect(), added }
    }
}
