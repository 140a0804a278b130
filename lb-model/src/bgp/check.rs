//! The checks that all kinds of BGP objects share.

use std::collections::BTreeMap;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{Problem, Reason};

use crate::lists;

/// Objects of a kind by name, where other kinds refer to them by the name alone.
pub(in crate::bgp) type Names<'a> = BTreeMap<&'a str, &'a Sourced<Object>>;

/// Returns whether no earlier object has the name of this one.
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

/// Collects the problems of one object.
pub(in crate::bgp) struct ObjectCheck<'a> {
    pub(in crate::bgp) object: &'a Sourced<Object>,
    problems: &'a mut Vec<Problem>,
    /// Whether there is no problem so far.
    pub(in crate::bgp) sound: bool,
}

impl<'a> ObjectCheck<'a> {
    pub(in crate::bgp) fn of(object: &'a Sourced<Object>, problems: &'a mut Vec<Problem>) -> Self {
        Self { object, problems, sound: true }
    }

    /// Returns the object's last-known-good value, if there is one, and reports that it stays in force.
    pub(in crate::bgp) fn former<T: Clone>(&mut self, former: Option<&T>) -> Option<T> {
        let former = former?.clone();
        self.problems.push(Problem::of(self.object, Reason::StaysAsBefore));
        Some(former)
    }

    pub(in crate::bgp) fn refuse(&mut self, field: impl Into<String>, reason: impl Into<Reason>) {
        self.sound = false;
        self.problems.push(Problem::at(self.object, field, reason));
    }

    /// Reports something without effect; the object stays valid.
    pub(in crate::bgp) fn warn(&mut self, field: impl Into<String>, reason: impl Into<Reason>) {
        self.problems.push(Problem::at(self.object, field, reason));
    }

    /// Unwraps a value, or reports why it is invalid.
    pub(in crate::bgp) fn value<T>(&mut self, field: &str, value: Result<T, impl Into<Reason>>) -> Option<T> {
        value.map_err(|reason| self.refuse(field, reason)).ok()
    }

    /// Checks the lists and selectors of the object.
    pub(in crate::bgp) fn lists(&mut self) {
        let problems = lists::problems(self.object);
        self.sound &= problems.is_empty();
        self.problems.extend(problems);
    }
}
