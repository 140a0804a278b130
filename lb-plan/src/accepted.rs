//! What was accepted last of the objects that configure the load balancer, as values that outlive an agent.
//!
//! [`Model::after`] keeps an object that has become wrong as it was in the model before. An agent that has just
//! started has no such model: it is made again of what an agent before it accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason, Severity};

use crate::model::Model;

/// Each object as it was last right, as long as there is one of its kind, namespace and name.
///
/// It never brings anything back: it only says what an object that is there and wrong was before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accepted {
    objects: BTreeMap<ObjectRef, Arc<Sourced<Object>>>,
}

impl FromIterator<Sourced<Object>> for Accepted {
    /// What somebody accepted. Objects of kinds that do not configure the load balancer are none of it.
    fn from_iter<I: IntoIterator<Item = Sourced<Object>>>(objects: I) -> Self {
        let kept = objects.into_iter().filter(|object| is_kept(&object.value));
        Self { objects: kept.map(|object| (object.value.reference(), Arc::new(object))).collect() }
    }
}

impl Accepted {
    /// The objects, by kind, namespace and name.
    pub fn objects(&self) -> impl Iterator<Item = &Sourced<Object>> {
        self.objects.values().map(|object| &**object)
    }

    /// Of the objects that are there and cannot be read, and so are not among `objects`, what was accepted before:
    /// those that a problem names, and all of a file that cannot be read at all.
    pub fn stand_ins(
        &self,
        objects: &[Arc<Sourced<Object>>],
        problems: &[Problem],
    ) -> Vec<Arc<Sourced<Object>>> {
        let wrong = Wrong::among(problems);
        let mut missing: BTreeMap<_, _> = self
            .objects
            .iter()
            .filter(|(name, object)| wrong.names(name) || wrong.files.contains(object.source.as_str()))
            .collect();
        if !missing.is_empty() {
            for object in objects.iter().filter(|object| is_kept(&object.value)) {
                missing.remove(&object.value.reference());
            }
        }
        missing.into_values().cloned().collect()
    }

    /// The model to go on from. Passwords of Secrets and the labels of Nodes are as they are now among `objects`.
    pub fn model(&self, objects: &[Arc<Sourced<Object>>]) -> Model {
        let is_context = |object: &&Arc<Sourced<Object>>| {
            matches!(object.value, Object::Node(_) | Object::Secret(_)) && !self.objects.is_empty()
        };
        let context = objects.iter().filter(is_context);
        let all: Vec<_> = self.objects.values().chain(context).map(|object| &**object).collect();
        Model::build(&all, None).0
    }

    /// Takes in what came of objects, stand-ins among them: the problems of reading and judging them, and the
    /// model. True where something else is accepted than before.
    pub fn note(&mut self, objects: &[Arc<Sourced<Object>>], problems: &[Problem], model: &Model) -> bool {
        let wrong = Wrong::among(problems);
        let mut now = BTreeMap::new();
        let mut stays = false;
        let mut seen = BTreeSet::new();
        for object in objects.iter().filter(|object| is_kept(&object.value)) {
            let name = object.value.reference();
            if !seen.insert(name.clone()) {
                continue;
            }
            let before = self.objects.get(&name);
            let is_wrong = wrong.names(&name);
            let accepted = if is_wrong {
                before.filter(|_| is_in(model, &name)).map(Arc::clone)
            } else {
                let slim = slim(object);
                Some(before.filter(|before| ***before == slim).map_or_else(|| Arc::new(slim), Arc::clone))
            };
            stays |= is_wrong && accepted.is_some();
            now.extend(accepted.map(|accepted| (name, accepted)));
        }
        if stays {
            now.extend(self.gone_references(&seen));
        }
        let differs = now != self.objects;
        self.objects = now;
        differs
    }

    /// What is not there any more, and what stays may refer to: that was right because these were there. They are of
    /// no file: one that breaks is not to bring them back.
    fn gone_references(
        &self,
        seen: &BTreeSet<ObjectRef>,
    ) -> impl Iterator<Item = (ObjectRef, Arc<Sourced<Object>>)> {
        let is_reference =
            |object: &Sourced<Object>| matches!(object.value, Object::BfdProfile(_) | Object::Community(_));
        let gone =
            self.objects.iter().filter(move |(name, object)| !seen.contains(*name) && is_reference(object));
        gone.map(|(name, object)| {
            let object = Sourced { source: String::new(), ..Sourced::clone(object) };
            (name.clone(), Arc::new(object))
        })
    }
}

/// The kinds that are remembered, as problems name them.
const KINDS: [&str; 6] =
    ["IPAddressPool", "L2Advertisement", "BGPPeer", "BGPAdvertisement", "BFDProfile", "Community"];

/// Whether an object is of one of these kinds. What else there is decides who leads a ring, where machines that have
/// seen different histories must think alike; and Secrets are never written down.
fn is_kept(object: &Object) -> bool {
    matches!(
        object,
        Object::IpAddressPool(_)
            | Object::L2Advertisement(_)
            | Object::BgpPeer(_)
            | Object::BgpAdvertisement(_)
            | Object::BfdProfile(_)
            | Object::Community(_)
    )
}

/// An object without what may change while it says the same. A controller counts addresses in a pool's status, by
/// which its version grows.
fn slim(object: &Sourced<Object>) -> Sourced<Object> {
    let mut slim = object.clone();
    let metadata = match &mut slim.value {
        Object::IpAddressPool(pool) => &mut pool.metadata,
        Object::L2Advertisement(advertisement) => &mut advertisement.metadata,
        Object::BgpPeer(peer) => &mut peer.metadata,
        Object::BgpAdvertisement(advertisement) => &mut advertisement.metadata,
        Object::BfdProfile(profile) => &mut profile.metadata,
        Object::Community(community) => &mut community.metadata,
        Object::Service(_)
        | Object::EndpointSlice(_)
        | Object::Node(_)
        | Object::Namespace(_)
        | Object::Secret(_) => return slim,
    };
    metadata.annotations.clear();
    metadata.uid = None;
    metadata.resource_version = None;
    slim
}

/// Whether a model has an object that is wrong, as it was before. One that it has given up, because others that
/// are right now leave it no place, is not to come back by a restart.
fn is_in(model: &Model, name: &ObjectRef) -> bool {
    let ObjectRef { kind, namespace, name } = name;
    let namespace = namespace.as_deref().unwrap_or_default();
    match kind.as_str() {
        "IPAddressPool" => model.pools.iter().any(|(it, _)| it.namespace == namespace && it.name == *name),
        "BGPPeer" => model.bgp.peers.get(name).is_some_and(|peer| peer.namespace == namespace),
        "BGPAdvertisement" => model.bgp.advertisements.iter().any(|it| it.key() == (namespace, name)),
        // These are in no model by themselves.
        _ => true,
    }
}

/// What problems say to be wrong.
struct Wrong<'a> {
    objects: BTreeSet<&'a ObjectRef>,
    /// Files of which nobody knows what is in them.
    files: BTreeSet<&'a str>,
}

impl<'a> Wrong<'a> {
    fn among(problems: &'a [Problem]) -> Self {
        // Of an object that is there twice, the first counts.
        let errors = problems.iter().filter(|problem| {
            problem.severity() == Severity::Error && !matches!(problem.reason, Reason::Duplicate { .. })
        });
        let mut wrong = Self { objects: BTreeSet::new(), files: BTreeSet::new() };
        for problem in errors {
            match &problem.object {
                // Of Services there may be thousands.
                Some(object) if !KINDS.contains(&object.kind.as_str()) => {}
                Some(object) => drop(wrong.objects.insert(object)),
                None => wrong.files.extend(problem.source.as_deref()),
            }
        }
        wrong
    }

    fn names(&self, name: &ObjectRef) -> bool {
        // One that cannot be read may name no namespace.
        self.objects.contains(name) || self.objects.contains(&ObjectRef { namespace: None, ..name.clone() })
    }
}

#[cfg(test)]
mod tests;
