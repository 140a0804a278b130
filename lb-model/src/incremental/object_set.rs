//! The objects that were seen last, and which of them are others now.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

use crate::order::{Named, ObjectHandle};
use crate::table::Table;

/// The objects that were seen last, none of them twice. It holds them, so that a place in memory tells for each
/// whether it is the same.
#[derive(Clone, Debug)]
pub(super) struct ObjectSet<O> {
    /// In the order in which they were handed over.
    list: Vec<O>,
    names: HashSet<Named<O>, BuildHasherDefault<DefaultHasher>>,
}

/// What is another than it was. An object that was replaced is in both.
#[derive(Clone, Debug)]
pub(crate) struct ObjectChanges<O> {
    pub(crate) gone: Vec<O>,
    pub(crate) come: Vec<O>,
}

impl<O> Default for ObjectSet<O> {
    fn default() -> Self {
        Self { list: Vec::new(), names: HashSet::default() }
    }
}

impl<O> Default for ObjectChanges<O> {
    fn default() -> Self {
        Self { gone: Vec::new(), come: Vec::new() }
    }
}

impl<O: ObjectHandle> ObjectSet<O> {
    /// Sees these objects; `None` if one of them is there twice, and then nothing that was seen is known any more.
    pub(super) fn see(&mut self, objects: &[O]) -> Option<ObjectChanges<O>> {
        let changes = self.replace(objects);
        for object in &changes.gone {
            self.names.remove(&Named(object.clone()));
        }
        let are_new = changes.come.iter().all(|object| self.names.insert(Named(object.clone())));
        if !are_new {
            *self = Self::default();
        }
        are_new.then_some(changes)
    }

    /// Puts these objects into the list.
    ///
    /// There are tens of thousands, of which one or two are others; so those that stay are moved and never looked
    /// into, for each look goes all the way to memory.
    fn replace(&mut self, objects: &[O]) -> ObjectChanges<O> {
        let is_same = |(old, new): &(&O, &O)| old.place() == new.place();
        let head = self.list.iter().zip(objects).take_while(is_same).count();
        let (old, new) = (self.list.get(head..), objects.get(head..));
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let tail = old.iter().rev().zip(new.iter().rev()).take_while(is_same).count();
        let (old, new) = (old.len() - tail, new.get(..new.len() - tail).unwrap_or_default());

        let former = self.list.drain(head..head + old).map(|object| (object.place(), object));
        let mut former: Table<usize, O> = former.collect();
        let mut come = Vec::new();
        let between = new.iter().map(|object| {
            former.remove(&object.place()).unwrap_or_else(|| {
                come.push(object.clone());
                object.clone()
            })
        });
        let between: Vec<O> = between.collect();
        self.list.splice(head..head, between);
        ObjectChanges { gone: former.into_values().collect(), come }
    }
}
