//! The order in which conflicts are decided, the same on every machine, and the identity of objects.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// A handle of an object: a reference or a shared pointer.
pub(super) trait ObjectHandle: Borrow<Sourced<Object>> + Clone {
    fn object(&self) -> &Sourced<Object> {
        self.borrow()
    }

    /// Returns its address in memory. No other object has it for as long as this one is held.
    fn place(&self) -> usize {
        std::ptr::from_ref(self.object()).addr()
    }
}

impl<O: Borrow<Sourced<Object>> + Clone> ObjectHandle for O {}

/// Returns the identity of an object across versions: kind, namespace and name.
fn key(object: &Sourced<Object>) -> (&'static str, Option<&str>, &str) {
    (object.value.kind().name, object.value.namespace(), &object.value.metadata().name)
}

/// An object that equals all its versions.
#[derive(Clone, Debug)]
pub(super) struct Named<O>(pub(super) O);

impl<O: ObjectHandle> PartialEq for Named<O> {
    fn eq(&self, other: &Self) -> bool {
        key(self.0.object()) == key(other.0.object())
    }
}

impl<O: ObjectHandle> Eq for Named<O> {}

impl<O: ObjectHandle> Hash for Named<O> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        key(self.0.object()).hash(state);
    }
}

/// An object ordered by age, then by kind, namespace and name.
#[derive(Clone, Debug)]
pub(super) struct Ranked<O>(pub(super) O);

impl<O: ObjectHandle> Ord for Ranked<O> {
    fn cmp(&self, other: &Self) -> Ordering {
        let [this, that] = [self, other].map(|it| it.0.object());
        let [first, second] = [this, that].map(|it| it.value.metadata().creation_timestamp.as_deref());
        first.cmp(&second).then_with(|| key(this).cmp(&key(that)))
    }
}

impl<O: ObjectHandle> PartialOrd for Ranked<O> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<O: ObjectHandle> PartialEq for Ranked<O> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<O: ObjectHandle> Eq for Ranked<O> {}

/// Returns the first of each object, and reports every duplicate as a problem.
pub(super) fn distinct<O: ObjectHandle>(objects: &[O], problems: &mut Vec<Problem>) -> Vec<O> {
    let mut objects = objects.to_vec();
    objects.sort_by(|one, other| key(one.object()).cmp(&key(other.object())));
    objects.dedup_by(|object, first| {
        let (object, first) = (object.object(), first.object());
        let is_double = key(object) == key(first);
        if is_double {
            let (source_name, line) = (first.source.clone(), first.line);
            problems.push(Problem::of(object, Reason::Duplicate { source_name, line }));
        }
        is_double
    });
    objects
}
