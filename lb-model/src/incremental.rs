//! Incremental building of models from objects of which few have changed.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;

use crate::bgp::Bgp;
use crate::model::Model;
use crate::name::NodeName;
use crate::object_set::{ObjectChanges, ObjectSet};
use crate::order::{self, ObjectHandle, Ranked};
use crate::pool::{Namespaces, Pools};
use crate::reserved::Reserved;
use crate::service::{AddressRule, Context, ServiceIndex};
use crate::{advertisement, node, pool};

impl Model {
    /// Builds the model of all objects and lists their problems, without a last-known-good model. `class` is
    /// the load-balancer class to serve; `None` serves the Services without one.
    pub fn build<O: Borrow<Sourced<Object>>>(objects: &[O], class: Option<&str>) -> (Self, Vec<Problem>) {
        Self::after(&Self::default(), objects, class)
    }

    /// Builds the model of all objects after another one: an object that is as in `before` takes precedence
    /// over new ones, and an object that has become invalid keeps its last-known-good value for as long as it
    /// exists.
    ///
    /// This applies to pools and to BGP and L2 configuration, where rejecting an object withdraws addresses
    /// or routes. Which Node has an address, and which Service a port, does not depend on `before`: machines
    /// with different histories must agree on that, or their rings would differ.
    pub fn after<O: Borrow<Sourced<Object>>>(
        before: &Self,
        objects: &[O],
        class: Option<&str>,
    ) -> (Self, Vec<Problem>) {
        let objects: Vec<&Sourced<Object>> = objects.iter().map(O::borrow).collect();
        let mut model = before.remainder();
        let problems = ObjectIndex::default().update(&mut model, &objects, class);
        (model, problems)
    }
}

/// A model of changing objects: each update has the result of [`Model::after`] with the previous model, but
/// processes only changes and what depends on them.
///
/// Unchanged objects are recognized by their address in memory, so it holds the objects of the last update.
#[derive(Clone, Debug, Default)]
pub struct IncrementalModel {
    model: Model,
    index: ObjectIndex<Arc<Sourced<Object>>>,
}

impl IncrementalModel {
    /// Starts from a model. Its Services and nodes do not count, and are absent until the first update.
    pub fn new(before: &Model) -> Self {
        Self { model: before.remainder(), index: ObjectIndex::default() }
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Updates the model to all current objects, and returns their problems. `class` is that of
    /// [`Model::build`].
    pub fn update(&mut self, objects: &[Arc<Sourced<Object>>], class: Option<&str>) -> Vec<Problem> {
        self.index.update(&mut self.model, objects, class)
    }

    /// Returns whether a problem concerns a node: problems of an object whose selectors exclude the node do
    /// not.
    pub fn concerns(&self, problem: &Problem, node: &NodeName) -> bool {
        let Some(node) = self.model.nodes.get(node) else { return true };
        let others = self.index.others.iter().map(|it| it.0.object());
        let mut objects = others.filter(|it| problem.object.as_ref() == Some(&it.value.reference()));
        objects.next().is_none_or(|object| {
            let selectors = match &object.value {
                Object::BgpPeer(it) => &it.spec.node_selectors,
                Object::BgpAdvertisement(it) => &it.spec.node_selectors,
                Object::L2Advertisement(it) => &it.spec.node_selectors,
                _ => return true,
            };
            selectors.is_empty() || selectors.iter().any(|it| it.matches(&node.labels))
        })
    }
}

/// The indexed objects of a model.
#[derive(Clone, Debug)]
pub(super) struct ObjectIndex<O> {
    class: Option<String>,
    addresses: AddressRule,
    namespaces: Namespaces,
    seen: ObjectSet<O>,
    services: ServiceIndex<O>,
    /// Objects other than Services and EndpointSlices: few.
    others: BTreeSet<Ranked<O>>,
}

impl<O> Default for ObjectIndex<O> {
    fn default() -> Self {
        Self {
            class: None,
            addresses: AddressRule::default(),
            namespaces: Namespaces::default(),
            seen: ObjectSet::default(),
            services: ServiceIndex::default(),
            others: BTreeSet::new(),
        }
    }
}

impl<O: ObjectHandle> ObjectIndex<O> {
    /// Updates a model to these objects. Its Services must be those of the last update.
    pub(super) fn update(&mut self, model: &mut Model, objects: &[O], class: Option<&str>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let changes = self.changes(model, objects, &mut problems);
        self.take(&changes);
        let others: Vec<_> = self.others.iter().map(|it| it.0.object()).collect();
        let of_kind = || others.iter().copied();
        let mut pools = Pools::build(of_kind(), &model.pools, &mut problems);
        let nodes = node::build(of_kind(), &model.drain, &mut problems);
        model.bgp = Bgp::build(&others, &pools, &nodes, &model.bgp, &mut problems);
        pools.reserve(Reserved::of(of_kind()));
        problems.extend(pool::reserved::problems(of_kind(), &pools));
        let namespaces = namespaces(of_kind());
        let is_same = self.class.as_deref() == class
            && self.addresses == model.addresses
            && self.namespaces == namespaces
            && model.pools == pools
            && model.nodes.keys().eq(nodes.keys());
        let context = Context {
            pools: &pools,
            nodes: &nodes,
            class,
            addresses: model.addresses,
            namespaces: &namespaces,
        };
        self.services.update(&changes, &context, is_same, &mut model.services);
        problems.extend(self.services.problems());
        model.l2_advertisements = advertisement::build(of_kind(), &model.l2_advertisements, &mut problems);
        (model.pools, model.nodes) = (pools, nodes);
        self.class = class.map(str::to_owned);
        (self.addresses, self.namespaces) = (model.addresses, namespaces);
        problems
    }

    /// Returns the changes since the last update; everything is new if an object exists twice.
    fn changes(&mut self, model: &mut Model, objects: &[O], problems: &mut Vec<Problem>) -> ObjectChanges<O> {
        if let Some(changes) = self.seen.see(objects) {
            return changes;
        }
        // This is an error in files that no API server has: correctness matters here, not speed.
        *self = Self::default();
        model.services.clear();
        self.seen.see(&order::distinct(objects, problems)).unwrap_or_default()
    }

    fn take(&mut self, changes: &ObjectChanges<O>) {
        for object in changes.removed.iter().filter(|it| is_other(it.object())) {
            self.others.remove(&Ranked(object.clone()));
        }
        let added = changes.added.iter().filter(|it| is_other(it.object()));
        self.others.extend(added.cloned().map(Ranked));
    }
}

/// Returns the labels of every namespace.
fn namespaces<'a>(objects: impl Iterator<Item = &'a Sourced<Object>>) -> Namespaces {
    let of = |object: &Sourced<Object>| match &object.value {
        Object::Namespace(it) => Some((it.metadata.name.clone(), it.metadata.labels.clone())),
        _ => None,
    };
    objects.filter_map(of).collect()
}

fn is_other(object: &Sourced<Object>) -> bool {
    !matches!(object.value, Object::Service(_) | Object::EndpointSlice(_))
}
