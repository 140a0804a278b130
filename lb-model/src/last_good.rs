//! The last-known-good configuration: objects that outlive the agent.
//!
//! [`Model::after`] keeps the last-known-good value of an object that has become invalid. An agent that has
//! just started has no earlier model; it rebuilds one from the objects that its predecessor stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_api::kind::ObjectKind;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason, Severity};

use crate::model::Model;

/// The last valid version of each object that exists.
///
/// It never restores removed objects: it only has earlier versions of objects that exist and are invalid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LastGood {
    objects: BTreeMap<ObjectRef, Arc<Sourced<Object>>>,
}

impl FromIterator<Sourced<Object>> for LastGood {
    /// Takes stored objects. Objects of kinds that do not configure the load balancer are left out.
    fn from_iter<I: IntoIterator<Item = Sourced<Object>>>(objects: I) -> Self {
        let kept = objects.into_iter().filter(|object| is_kept(&object.value));
        Self { objects: kept.map(|object| (object.value.reference(), Arc::new(object))).collect() }
    }
}

impl LastGood {
    /// Returns the objects, ordered by kind, namespace and name.
    pub fn objects(&self) -> impl Iterator<Item = &Sourced<Object>> {
        self.objects.values().map(|object| &**object)
    }

    /// Returns the last-known-good versions of the objects that exist but cannot be read, and so are not
    /// among `objects`: those that a problem names, and all objects of a file that cannot be read at all.
    pub fn fallbacks(
        &self,
        objects: &[Arc<Sourced<Object>>],
        problems: &[Problem],
    ) -> Vec<Arc<Sourced<Object>>> {
        let invalid = InvalidObjects::among(problems);
        let mut missing: BTreeMap<_, _> = self
            .objects
            .iter()
            .filter(|(name, object)| {
                invalid.names(name, &object.source) || invalid.files.contains(object.source.as_str())
            })
            .collect();
        if !missing.is_empty() {
            for object in objects.iter().filter(|object| is_kept(&object.value)) {
                missing.remove(&object.value.reference());
            }
        }
        missing.into_values().cloned().collect()
    }

    /// Returns the model to start from. Passwords of Secrets and labels of Nodes are the current ones among
    /// `objects`.
    pub fn model(&self, objects: &[Arc<Sourced<Object>>]) -> Model {
        let is_context = |object: &&Arc<Sourced<Object>>| {
            matches!(object.value, Object::Node(_) | Object::Secret(_)) && !self.objects.is_empty()
        };
        let context = objects.iter().filter(is_context);
        let present = objects.iter().filter(|object| is_kept(&object.value));
        let present: BTreeMap<_, _> = present.map(|object| (object.value.reference(), object)).collect();
        let is_there = |(name, object): &(&ObjectRef, &Arc<Sourced<Object>>)| {
            present.get(name).is_none_or(|present| may_be_same(object, present))
        };
        let known_good = self.objects.iter().filter(is_there).map(|(_, object)| object);
        let all: Vec<_> = known_good.chain(context).map(|object| &**object).collect();
        Model::build(&all, None).0
    }

    /// Updates it from the current objects, including fallbacks, with their problems and their model. Returns
    /// whether it has changed.
    pub fn record(&mut self, objects: &[Arc<Sourced<Object>>], problems: &[Problem], model: &Model) -> bool {
        let invalid = InvalidObjects::among(problems);
        let mut now = BTreeMap::new();
        let mut staying = Vec::new();
        let mut seen = BTreeSet::new();
        for object in objects.iter().filter(|object| is_kept(&object.value)) {
            let name = object.value.reference();
            if !seen.insert(name.clone()) {
                continue;
            }
            let before = self.objects.get(&name);
            let is_invalid = invalid.names(&name, &object.source);
            let known_good = if is_invalid {
                before.filter(|before| may_be_same(before, object) && is_in(model, &name)).map(Arc::clone)
            } else {
                let stripped = stripped(object);
                Some(
                    before
                        .filter(|before| ***before == stripped)
                        .map_or_else(|| Arc::new(stripped), Arc::clone),
                )
            };
            staying.extend(known_good.clone().filter(|_| is_invalid));
            now.extend(known_good.map(|known_good| (name, known_good)));
        }
        now.extend(self.removed_references(&References::of(&staying), &seen));
        let differs = now != self.objects;
        self.objects = now;
        differs
    }

    /// Returns removed objects that kept objects refer to: the latter were valid only because the former
    /// existed. They belong to no file, so a broken file does not restore them.
    fn removed_references(
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

/// The names that objects refer to.
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

/// Returns whether an object is of a kind that configures the load balancer. The other kinds decide which
/// nodes lead a ring, on which machines with different histories must agree; and Secrets are never stored.
fn is_kept(object: &Object) -> bool {
    object.kind().is_configuration()
}

/// Returns whether two objects of one name are the same object, and not a removed one and a new one.
fn may_be_same(before: &Sourced<Object>, now: &Sourced<Object>) -> bool {
    let [before, now] = [before, now].map(|object| &object.value.metadata().uid);
    before.is_none() || now.is_none() || before == now
}

/// Returns an object without metadata that changes on its own. A controller updates a pool's status, which
/// increments its version.
fn stripped(object: &Sourced<Object>) -> Sourced<Object> {
    let mut stripped = object.clone();
    let metadata = match &mut stripped.value {
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
        | Object::Secret(_) => return stripped,
    };
    metadata.annotations.clear();
    metadata.resource_version = None;
    stripped
}

/// Returns whether a model contains the last-known-good version of an invalid object. A version that has been
/// dropped, because valid objects now take its place, must not return with a restart.
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
        // These are not in the model by themselves.
        true
    }
}

/// The objects that problems report as invalid.
struct InvalidObjects<'a> {
    objects: BTreeSet<&'a ObjectRef>,
    /// Unreadable objects without a namespace, with their files.
    without_namespace: BTreeSet<(&'a str, &'a ObjectRef)>,
    /// Files with unknown contents.
    files: BTreeSet<&'a str>,
}

impl<'a> InvalidObjects<'a> {
    fn among(problems: &'a [Problem]) -> Self {
        // Of duplicate objects, the first counts.
        let errors = problems.iter().filter(|problem| {
            problem.severity() == Severity::Error && !matches!(problem.reason, Reason::Duplicate { .. })
        });
        let mut invalid =
            Self { objects: BTreeSet::new(), without_namespace: BTreeSet::new(), files: BTreeSet::new() };
        for problem in errors {
            match &problem.object {
                // There may be thousands of Services.
                Some(object) if !object.is_configuration() => {}
                Some(object) => {
                    invalid.objects.insert(object);
                    let file = problem.source.as_deref().filter(|_| object.namespace.is_none());
                    invalid.without_namespace.extend(file.map(|file| (file, object)));
                }
                None => invalid.files.extend(problem.source.as_deref()),
            }
        }
        invalid
    }

    fn names(&self, name: &ObjectRef, file: &str) -> bool {
        let without_namespace = ObjectRef { namespace: None, ..name.clone() };
        self.objects.contains(name) || self.without_namespace.contains(&(file, &without_namespace))
    }
}

#[cfg(test)]
mod tests;
