//! The checks that all kinds of BGP objects share.

use std::collections::BTreeMap;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};

use crate::lists;

/// Objects of a kind by the names that others refer to them by.
pub(in crate::bgp) type Names<'a> = BTreeMap<&'a str, &'a Sourced<Object>>;

/// Whether no object before has the name of this one.
pub(in crate::bgp) fn takes_name<'a>(
    object: &'a Sourced<Object>,
    names: &mut Names<'a>,
    problems: &mut Vec<Problem>,
) -> bool {
    let first = *names.entry(&object.value.metadata().name).or_insert(object);
    let is_first = std::ptr::eq(first, object);
    if !is_first {
        let by = first.value.reference().to_string();
        problems.push(Problem::at(object, "metadata.name", Reason::NameTaken { by }));
    }
    is_first
}

/// Collects what is wrong with one object.
pub(in crate::bgp) struct Judge<'a> {
    pub(in crate::bgp) object: &'a Sourced<Object>,
    problems: &'a mut Vec<Problem>,
    /// Whether nothing has been wrong so far.
    pub(in crate::bgp) sound: bool,
}

impl<'a> Judge<'a> {
    pub(in crate::bgp) fn of(object: &'a Sourced<Object>, problems: &'a mut Vec<Problem>) -> Self {
        Self { object, problems, sound: true }
    }

    /// What was accepted of the object before, if anything was.
    pub(in crate::bgp) fn former<T: Clone>(&mut self, former: Option<&T>) -> Option<T> {
        let former = former?.clone();
        self.problems.push(Problem::of(self.object, Reason::StaysAsBefore));
        Some(former)
    }

    pub(in crate::bgp) fn refuse(&mut self, field: impl Into<String>, reason: Reason) {
        self.sound = false;
        self.problems.push(Problem::at(self.object, field, reason));
    }

    /// Something that is of no effect, while the object counts.
    pub(in crate::bgp) fn warn(&mut self, field: impl Into<String>, reason: Reason) {
        self.problems.push(Problem::at(self.object, field, reason));
    }

    /// A value that must be sound where it is there.
    pub(in crate::bgp) fn value<T>(&mut self, field: &str, value: Result<T, Reason>) -> Option<T> {
        value.map_err(|reason| self.refuse(field, reason)).ok()
    }

    /// Looks at the lists and selectors of the object.
    pub(in crate::bgp) fn lists(&mut self) {
        let faults = lists::problems(self.object);
        self.sound &= faults.is_empty();
        self.problems.extend(faults);
    }
}
