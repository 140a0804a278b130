//! Which changes of MetalLB's objects are let in: the rules of its webhooks.
//!
//! An agent lives with whatever is written, and leaves out what is wrong. Whoever writes an object is better told at
//! once, so this refuses more than an agent does: an entry that is there twice, a selector that selects nothing by
//! mistake, a change by which another object would become wrong.

mod lists;

use std::borrow::Borrow;
use std::collections::BTreeSet;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason, Severity};

use crate::model::Model;
use crate::speaker;

/// A change that somebody asks for.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// An object is made, or gets another content.
    Write(&'a Sourced<Object>),
    /// An object goes.
    Delete(&'a ObjectRef),
}

/// What is said of a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Why it is not let in; it is if there is none.
    pub refusals: Vec<Problem>,
    /// What its author should know though it is let in: above all, what it refers to and is not there yet.
    pub warnings: Vec<Problem>,
}

impl Verdict {
    /// Whether the change is let in.
    pub fn is_admitted(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// Judges a change of the objects that are there.
pub fn review<O: Borrow<Sourced<Object>>>(existing: &[O], change: &Change<'_>) -> Verdict {
    let existing: Vec<&Sourced<Object>> = existing.iter().map(O::borrow).collect();
    match change {
        Change::Write(object) => write(&existing, object),
        Change::Delete(object) => delete(&existing, object),
    }
}

/// What is wrong with an object by itself, beyond what an agent tells of it.
pub fn lint(object: &Sourced<Object>) -> Vec<Problem> {
    lists::problems(object)
}

/// Whether an object is right but for something that may still come.
pub fn is_waiting(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownReference { .. }
            | Reason::UnknownCommunity { .. }
            | Reason::WellKnownCommunity { .. }
            | Reason::SecretType { .. }
            | Reason::SecretWithout { .. }
    )
}

fn write(existing: &[&Sourced<Object>], object: &Sourced<Object>) -> Verdict {
    let reference = object.value.reference();
    let (before, known) = Model::build(existing, None);
    let others = existing.iter().copied().filter(|other| other.value.reference() != reference);
    let after: Vec<_> = others.chain([object]).collect();
    let known: BTreeSet<_> = known.iter().chain(&speaker::contested(&before)).map(told).collect();
    let mut verdict = Verdict::default();
    let (model, problems) = Model::after(&before, &after, None);
    let problems = problems.into_iter().chain(speaker::contested(&model)).chain(lint(object));
    for problem in problems.filter(|problem| problem.reason != Reason::StaysAsBefore) {
        let is_own = problem.object.as_ref() == Some(&reference);
        let is_new = is_configuration(&problem) && !known.contains(&told(&problem));
        if problem.severity() == Severity::Notice || (is_own && is_waiting(&problem.reason)) {
            verdict.warnings.extend((is_own || is_new).then_some(problem));
        } else if is_own || is_new {
            verdict.refusals.push(problem);
        }
    }
    verdict
}

/// What tells one problem from another.
fn told(problem: &Problem) -> (Option<ObjectRef>, Option<String>, &'static str) {
    (problem.object.clone(), problem.field.clone(), problem.label())
}

/// Of an object of MetalLB. What becomes of Services and nodes is no reason to refuse: pools may shrink, and what
/// was given from them is given anew.
fn is_configuration(problem: &Problem) -> bool {
    let kind = problem.object.as_ref().map(|object| object.kind.as_str());
    !is_waiting(&problem.reason)
        && !matches!(kind, None | Some("Service" | "EndpointSlice" | "Node" | "Secret"))
}

/// A BFD profile stays as long as a peer needs it; everything else may go.
fn delete(existing: &[&Sourced<Object>], gone: &ObjectRef) -> Verdict {
    let mut verdict = Verdict::default();
    if gone.kind != "BFDProfile" {
        return verdict;
    }
    for object in existing {
        let Object::BgpPeer(peer) = &object.value else { continue };
        let is_same_namespace = object.value.namespace() == gone.namespace.as_deref();
        if is_same_namespace && peer.spec.bfd_profile.as_deref() == Some(&gone.name) {
            let by = object.value.reference().to_string();
            verdict.refusals.push(Problem::about(gone.clone(), Reason::InUse { by }));
        }
    }
    verdict
}

#[cfg(test)]
mod tests;
