//! Whether a change of an object is to be taken: what an API server asks before it stores it.
//!
//! The rules are those of [`model`](crate::model), and some more ([`strict`]) that only a webhook has: an agent goes
//! on with what breaks them. What is not there yet is no reason to refuse, as objects come in any order.

mod reference;
mod strict;

use std::mem;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason};

use crate::model::Model;

/// A change that somebody wants to make.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// The object is to be there, new or in place of the one of its name.
    Write(&'a Sourced<Object>),
    /// The object is to go.
    Delete(&'a ObjectRef),
}

/// What comes of a change: it is admitted if nothing is refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Why it is not admitted.
    pub refused: Vec<Problem>,
    /// What whoever makes it should know.
    pub warnings: Vec<Problem>,
}

/// Judges a change beside the objects that are there; `namespace` is where objects of `metallb.io` count.
///
/// A change is refused for what is wrong with its object, and for what it makes wrong with others that were right.
pub fn judge(there: &[Sourced<Object>], change: Change<'_>, namespace: &str) -> Verdict {
    let there: Vec<_> = there.iter().filter(|object| configures(&object.value)).cloned().collect();
    match change {
        Change::Write(object) => write(&there, object, namespace),
        Change::Delete(object) => delete(&there, object),
    }
}

/// What is wrong with objects, beside what their [`Model`] says: rules that only a webhook has, and what refers to
/// nothing there is.
pub fn further(objects: &[Sourced<Object>], model: &Model, namespace: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for object in objects {
        verdict.refused.extend(strict::judge(object, namespace));
        verdict.warnings.extend(reference::judge(object, model));
    }
    verdict
}

/// Whether others are judged by an object of this kind. Services and their endpoints are many, and none is.
fn configures(object: &Object) -> bool {
    !matches!(object, Object::Service(_) | Object::EndpointSlice(_))
}

fn write(there: &[Sourced<Object>], object: &Sourced<Object>, namespace: &str) -> Verdict {
    let reference = object.value.reference();
    let former = there.iter().find(|other| other.value.reference() == reference);
    let mut after = without(there, &reference);
    after.push(object.clone());
    let (model, mut verdict) = difference(there, &after, &reference);
    verdict.refused.extend(strict::judge(object, namespace));
    verdict.refused.extend(same_router(object, &model));
    verdict.warnings.extend(reference::judge(object, &model));
    if former.is_some_and(|former| says_the_same(&former.value, &object.value)) {
        // What is wrong was wrong before: a finalizer or an annotation may still be written.
        verdict.warnings.splice(..0, mem::take(&mut verdict.refused));
    }
    verdict
}

fn delete(there: &[Sourced<Object>], object: &ObjectRef) -> Verdict {
    let after = without(there, object);
    let (_, mut verdict) = difference(there, &after, object);
    // What is gone makes nothing wrong that could not come back; only who deletes a profile would not know.
    verdict.warnings.append(&mut verdict.refused);
    if object.kind == "BFDProfile" {
        let users = there.iter().filter(|other| uses_profile(&other.value, object));
        let in_use = |user: &Sourced<Object>| Reason::InUse { by: user.value.reference().to_string() };
        verdict.refused = users.map(|user| Problem::about(object.clone(), in_use(user))).collect();
    }
    verdict
}

fn uses_profile(object: &Object, profile: &ObjectRef) -> bool {
    let Object::BgpPeer(peer) = object else { return false };
    peer.spec.bfd_profile.as_deref() == Some(&profile.name)
        && object.namespace() == profile.namespace.as_deref()
}

fn without(objects: &[Sourced<Object>], gone: &ObjectRef) -> Vec<Sourced<Object>> {
    objects.iter().filter(|object| object.value.reference() != *gone).cloned().collect()
}

/// What is wrong afterwards with an object, and what is newly wrong with others; and the model afterwards.
fn difference(
    before: &[Sourced<Object>],
    after: &[Sourced<Object>],
    changed: &ObjectRef,
) -> (Model, Verdict) {
    let (accepted, known) = Model::build(before, None);
    let (model, problems) = Model::after(&accepted, after, None);
    let is_news = |problem: &Problem| problem.object.as_ref() == Some(changed) || !known.contains(problem);
    // Nothing stays as it was before: it is there, or it is not taken.
    let news = problems.into_iter().filter(|it| it.reason != Reason::StaysAsBefore && is_news(it));
    let (warnings, refused) = news.partition(waits);
    (model, Verdict { refused, warnings })
}

/// Whether a problem is over once something else is there, or is right.
pub fn waits(problem: &Problem) -> bool {
    match problem.reason {
        Reason::UnknownReference { .. }
        | Reason::UnknownCommunity { .. }
        | Reason::WellKnownCommunity { .. }
        | Reason::SecretType { .. }
        | Reason::SecretWithout { .. } => true,
        Reason::PasswordLength => problem.field.as_deref() == Some("spec.passwordSecret"),
        _ => false,
    }
}

/// Another peer that is the same router, on some node.
fn same_router(object: &Sourced<Object>, model: &Model) -> Option<Problem> {
    let Object::BgpPeer(_) = &object.value else { return None };
    let name = &object.value.metadata().name;
    let peer = model.bgp.peers.get(name)?;
    let mut others = model.bgp.peers.iter().filter(|(other, _)| *other != name);
    let (by, _) = others
        .find(|(_, other)| other.router() == peer.router() && peer.meets(other, model.nodes.values()))?;
    let field = match peer.endpoint {
        crate::model::Endpoint::Address(_) => "spec.peerAddress",
        crate::model::Endpoint::Interface(_) => "spec.interface",
    };
    Some(Problem::at(object, field, Reason::RouterTaken { by: format!("BGPPeer {by}") }))
}

fn says_the_same(one: &Object, other: &Object) -> bool {
    let labels = |object: &Object| object.metadata().labels.clone();
    labels(one) == labels(other)
        && match (one, other) {
            (Object::IpAddressPool(one), Object::IpAddressPool(other)) => one.spec == other.spec,
            (Object::L2Advertisement(one), Object::L2Advertisement(other)) => one.spec == other.spec,
            (Object::BgpAdvertisement(one), Object::BgpAdvertisement(other)) => one.spec == other.spec,
            (Object::BgpPeer(one), Object::BgpPeer(other)) => one.spec == other.spec,
            (Object::BfdProfile(one), Object::BfdProfile(other)) => one.spec == other.spec,
            (Object::Community(one), Object::Community(other)) => one.spec == other.spec,
            _ => false,
        }
}

#[cfg(test)]
mod tests;
