//! Admission of changes to MetalLB's objects: the rules of its webhooks.
//!
//! It rejects objects that an agent would ignore, and changes that would make an agent ignore another object.
//! It warns of references to objects that do not exist yet.

mod references;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use lb_api::kind::ObjectKind;
use lb_api::objects::{Metadata, Object, Secret, SecretText, Sourced};
use lb_api::problem::{BgpReason, ObjectRef, Problem, Reason, Severity};

use lb_model::{Model, SECRET_KEY, SECRET_TYPE};
use lb_plan::speaker;
use references::Known;

/// A requested change.
#[derive(Clone, Debug)]
pub enum ObjectChange<'a> {
    /// An object is created or updated.
    Write(&'a Sourced<Object>),
    /// An object is deleted.
    Delete(&'a ObjectRef),
}

/// The review of a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Review {
    /// Why the change is rejected; it is admitted if there is none.
    pub refusals: Vec<Problem>,
    /// What the author should know even though the change is admitted: above all, references to objects that
    /// do not exist yet.
    pub warnings: Vec<Problem>,
}

impl Review {
    /// Returns whether the change is admitted.
    pub fn is_admitted(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// Reviews a change of the existing objects.
pub fn review<O: Borrow<Sourced<Object>>>(existing: &[O], change: &ObjectChange<'_>) -> Review {
    let existing: Vec<&Sourced<Object>> = existing.iter().map(O::borrow).collect();
    match change {
        ObjectChange::Write(object) => write(&existing, object),
        ObjectChange::Delete(object) => delete(&existing, object),
    }
}

/// Returns the references and selectors of objects that match nothing: matching objects may still be created,
/// until then they have no effect.
pub(crate) fn dangling<O: Borrow<Sourced<Object>>>(objects: &[O]) -> Vec<Problem> {
    let objects: Vec<&Sourced<Object>> = objects.iter().map(O::borrow).collect();
    let known = Known::of(&objects);
    objects.iter().flat_map(|object| known.dangling(object)).collect()
}

/// Returns the Secrets that peers refer to, as if they existed and were valid: for reviewers without access
/// to Secrets.
pub fn presumed_secrets<'a>(objects: impl Iterator<Item = &'a Sourced<Object>>) -> Vec<Sourced<Object>> {
    let secret = |object: &Sourced<Object>| {
        let Object::BgpPeer(peer) = &object.value else { return None };
        let reference = peer.spec.password_secret.as_ref()?;
        let namespace = reference.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        let metadata = Metadata {
            name: reference.name.clone()?,
            namespace: namespace.or(object.value.namespace()).map(str::to_owned),
            ..Metadata::default()
        };
        let password = (SECRET_KEY.to_owned(), SecretText::from("presumed".to_owned()));
        let value = Object::Secret(Box::new(Secret {
            metadata,
            r#type: Some(SECRET_TYPE.to_owned()),
            data: BTreeMap::new(),
            string_data: BTreeMap::from([password]),
        }));
        Some(Sourced { source: String::new(), line: 0, value })
    };
    let secrets: BTreeMap<_, _> =
        objects.filter_map(secret).map(|object| (object.value.reference(), object)).collect();
    secrets.into_values().collect()
}

/// Returns whether an object is valid except for something that may still be created.
pub fn is_pending(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownReference { .. }
            | Reason::NothingNamed { .. }
            | Reason::SelectsNothing { .. }
            | Reason::Bgp(
                BgpReason::UnknownCommunity { .. }
                    | BgpReason::WellKnownCommunity { .. }
                    | BgpReason::SecretType { .. }
                    | BgpReason::SecretWithout { .. }
            )
    )
}

fn write(existing: &[&Sourced<Object>], object: &Sourced<Object>) -> Review {
    let reference = object.value.reference();
    let (before, known) = Model::build(existing, None);
    let others = existing.iter().copied().filter(|other| other.value.reference() != reference);
    let after: Vec<_> = others.chain([object]).collect();
    let known: BTreeSet<_> = known.iter().chain(&speaker::contested(&before)).map(identity).collect();
    let mut verdict = Review::default();
    let (model, problems) = Model::after(&before, &after, None);
    let problems =
        problems.into_iter().chain(speaker::contested(&model)).chain(Known::of(&after).dangling(object));
    for problem in problems.filter(|problem| problem.reason != Reason::StaysAsBefore) {
        let is_own = problem.object.as_ref() == Some(&reference);
        let is_new = is_configuration(&problem) && !known.contains(&identity(&problem));
        if problem.severity() < Severity::Error || (is_own && is_pending(&problem.reason)) {
            verdict.warnings.extend((is_own || is_new).then_some(problem));
        } else if is_own || is_new {
            verdict.refusals.push(problem);
        }
    }
    verdict
}

/// Returns what identifies a problem.
fn identity(problem: &Problem) -> (Option<ObjectRef>, Option<String>, &'static str) {
    (problem.object.clone(), problem.field.clone(), problem.label())
}

/// Returns whether it is a problem of a MetalLB object. Problems of Services and Nodes are no reason to
/// reject a change: pools may shrink, and their addresses are allocated anew.
fn is_configuration(problem: &Problem) -> bool {
    !is_pending(&problem.reason) && problem.object.as_ref().is_some_and(ObjectRef::is_configuration)
}

/// A BFD profile cannot be deleted while a peer refers to it; everything else can.
fn delete(existing: &[&Sourced<Object>], gone: &ObjectRef) -> Review {
    let mut verdict = Review::default();
    if !gone.is(ObjectKind::BFD_PROFILE) {
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
