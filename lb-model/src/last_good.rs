//! What was accepted last of the objects that configure the load balancer, as values that outlive an agent.
//!
//! [`Model::after`] keeps an object that has become wrong as it was in the model before. An agent that has just
//! started has no such model: it is made again of what an agent before it accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_api::kind::ObjectKind;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason, Severity};

use crate::model::Model;

/// Each object as it was last right, as long as there is one of its kind, namespace and name.
///
/// It never brings anything back: it only says what an object that is there and wrong was before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LastGood {
    objects: BTreeMap<ObjectRef, Arc<Sourced<Object>>>,
}

impl FromIterator<Sourced<Object>> for LastGood {
    /// What somebody accepted. Objects of kinds that do not configure the load balancer are none of it.
    fn from_iter<I: IntoIterator<Item = Sourced<Object>>>(objects: I) -> Self {
        let kept = objects.into_iter().filter(|object| is_kept(&object.value));
        Self { objects: kept.map(|object| (object.value.reference(), Arc::new(object))).collect() }
    }
}

impl LastGood {
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
            .filter(|(name, object)| {
                wrong.names(name, &object.source) || wrong.files.contains(object.source.as_str())
            })
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
        let present = objects.iter().filter(|object| is_kept(&object.value));
        let present: BTreeMap<_, _> = present.map(|object| (object.value.reference(), object)).collect();
        let is_there = |(name, object): &(&ObjectRef, &Arc<Sourced<Object>>)| {
            present.get(name).is_none_or(|present| may_be_one(object, present))
        };
        let accepted = self.objects.iter().filter(is_there).map(|(_, object)| object);
        let all: Vec<_> = accepted.chain(context).map(|object| &**object).collect();
        Model::build(&all, None).0
    }

    /// Takes in what came of objects, stand-ins among them: the problems of reading and judging them, and the
    /// model. True where something else is accepted than before.
    pub fn note(&mut self, objects: &[Arc<Sourced<Object>>], problems: &[Problem], model: &Model) -> bool {
        let wrong = Wrong::among(problems);
        let mut now = BTreeMap::new();
        let mut staying = Vec::new();
        let mut seen = BTreeSet::new();
        for object in objects.iter().filter(|object| is_kept(&object.value)) {
            let name = object.value.reference();
            if !seen.insert(name.clone()) {
                continue;
            }
            let before = self.objects.get(&name);
            let is_wrong = wrong.names(&name, &object.source);
            let accepted = if is_wrong {
                before.filter(|before| may_be_one(before, object) && is_in(model, &name)).map(Arc::clone)
            } else {
                let slim = slim(object);
                Some(before.filter(|before| ***before == slim).map_or_else(|| Arc::new(slim), Arc::clone))
            };
            staying.extend(accepted.clone().filter(|_| is_wrong));
            now.extend(accepted.map(|accepted| (name, accepted)));
        }
        now.extend(self.gone_references(&References::of(&staying), &seen));
        let differs = now != self.objects;
        self.objects = now;
        differs
    }

    /// What is not there any more, and what stays refers to: that was right because these were there. They are of
    /// no file: one that breaks is not to bring them back.
    fn gone_references(
        &self,
        wanted: &References<'_>,
        seen: &BTreeSet<ObjectRef>,
    ) -> impl Iterator<Item = (ObjectRef, Arc<Sourced<Object>>)> {
        let gone =
            self.objects.iter().filter(|(name, object)| !seen.contains(*name) && wanted.has(&object.value));
        gone.map(|(name, object)| {
            let object = Sourced { source: String::new(), ..Sourced::clone(object) };
            (name.clone(), Arc::new(object))
        })
    }
}

/// What objects refer to by its name.
struct References<'a> {
    profiles: BTreeSet<&'a str>,
    communities: BTreeSet<&'a str>,
}

impl<'a> References<'a> {
    fn of(objects: &'a [Arc<Sourced<Object>>]) -> Self {
        let mut references = Self { profiles: BTreeSet::new(), communities: BTreeSet::new() };
        for object in objects {
            match &object.value {
                Object::BgpPeer(peer) => references.profiles.extend(peer.spec.bfd_profile.as_deref()),
                Object::BgpAdvertisement(advertisement) => {
                    references.communities.extend(advertisement.spec.communities.iter().map(String::as_str));
                }
                _ => {}
            }
        }
        references
    }

    fn has(&self, object: &Object) -> bool {
        match object {
            Object::BfdProfile(profile) => self.profiles.contains(profile.metadata.name.as_str()),
            Object::Community(community) => {
                community.spec.communities.iter().any(|alias| self.communities.contains(alias.name.as_str()))
            }
            _ => false,
        }
    }
}

/// Whether an object is of one of these kinds. What else there is decides who leads a ring, where machines that have
/// seen different histories must think alike; and Secrets are never written down.
fn is_kept(object: &Object) -> bool {
    object.kind().is_configuration()
}

/// Whether objects of one name are one, and not one that went and another that came.
fn may_be_one(before: &Sourced<Object>, now: &Sourced<Object>) -> bool {
    let [before, now] = [before, now].map(|object| &object.value.metadata().uid);
    before.is_none() || now.is_none() || before == now
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
    metadata.resource_version = None;
    slim
}

/// Whether a model has an object that is wrong, as it was before. One that it has given up, because others that
/// are right now leave it no place, is not to come back by a restart.
fn is_in(model: &Model, name: &ObjectRef) -> bool {
    let namespace = name.namespace.as_deref().unwrap_or_default();
    let is_kind = |kind| name.is(kind);
    let name = &name.name;
    if is_kind(ObjectKind::IP_ADDRESS_POOL) {
        model.pools.iter().any(|(it, _)| it.namespace == namespace && it.name == *name)
    } else if is_kind(ObjectKind::BGP_PEER) {
        model.bgp.peers.get(name).is_some_and(|peer| peer.namespace == namespace)
    } else if is_kind(ObjectKind::BGP_ADVERTISEMENT) {
        model.bgp.advertisements.iter().any(|it| it.key() == (namespace, name))
    } else {
        // These are in no model by themselves.
        true
    }
}

/// What problems say to be wrong.
struct Wrong<'a> {
    objects: BTreeSet<&'a ObjectRef>,
    /// Objects that cannot be read and name no namespace, with their files.
    homeless: BTreeSet<(&'a str, &'a ObjectRef)>,
    /// Files of which nobody knows what is in them.
    files: BTreeSet<&'a str>,
}

impl<'a> Wrong<'a> {
    fn among(problems: &'a [Problem]) -> Self {
        // Of an object that is there twice, the first counts.
        let errors = problems.iter().filter(|problem| {
            problem.severity() == Severity::Error && !matches!(problem.reason, Reason::Duplicate { .. })
        });
        let mut wrong = Self { objects: BTreeSet::new(), homeless: BTreeSet::new(), files: BTreeSet::new() };
        for problem in errors {
            match &problem.object {
                // Of Services there may be thousands.
                Some(object) if !object.is_configuration() => {}
                Some(object) => {
                    wrong.objects.insert(object);
                    let file = problem.source.as_deref().filter(|_| object.namespace.is_none());
                    wrong.homeless.extend(file.map(|file| (file, object)));
                }
                None => wrong.files.extend(problem.source.as_deref()),
            }
        }
        wrong
    }

    fn names(&self, name: &ObjectRef, file: &str) -> bool {
        let homeless = ObjectRef { namespace: None, ..name.clone() };
        self.objects.contains(name) || self.homeless.contains(&(file, &homeless))
    }
}

#[cfg(test)]
mod tests;
