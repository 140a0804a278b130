//! Models one after another, of objects of which few have changed.

mod object_set;

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;

use crate::bgp::Bgp;
use crate::model::Model;
use crate::name::NodeName;
use crate::order::{self, ObjectHandle, Ranked};
use crate::pool::{Namespaces, Pools};
use crate::reserved::Reserved;
use crate::service::{AddressRule, Context, ServiceIndex};
use crate::{advertisement, node, pool};
use object_set::ObjectSet;

pub(super) use object_set::ObjectChanges;

impl Model {
    /// The model of all objects, and what is wrong with them, where nothing was accepted before. `class` is the
    /// load-balancer class to serve; `None` serves the Services that name none.
    pub fn build<O: Borrow<Sourced<Object>>>(objects: &[O], class: Option<&str>) -> (Self, Vec<Problem>) {
        Self::after(&Self::default(), objects, class)
    }

    /// The model of all objects after another one: an object that says what `before` has of it is refused for
    /// none that is new, and one that has become wrong stays as it was, as long as it is there at all.
    ///
    /// So it is for pools and for what is told to routers, where a refusal takes addresses or routes away. Which
    /// Node has an address, and which Service a port, does not depend on `before`: of those, machines that have
    /// seen different histories must think alike, or they would make different rings.
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

/// Keeps a model of objects that change: after each update it is what [`Model::after`] would have made of the model
/// before. It looks only at what has changed and at what depends on that.
///
/// What is the same it knows by its place in memory, so it holds the objects that it has seen last.
#[derive(Clone, Debug, Default)]
pub struct IncrementalModel {
    model: Model,
    index: ObjectIndex<Arc<Sourced<Object>>>,
}

impl IncrementalModel {
    /// Begins after a model. Its Services and nodes do not count, and are not there until objects have been seen.
    pub fn new(before: &Model) -> Self {
        Self { model: before.remainder(), index: ObjectIndex::default() }
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Has all objects as they are now, and tells what is wrong with them. `class` is as [`Model::build`] has it.
    pub fn update(&mut self, objects: &[Arc<Sourced<Object>>], class: Option<&str>) -> Vec<Problem> {
        self.index.update(&mut self.model, objects, class)
    }

    /// Whether a problem concerns a node: what is wrong with an object that other nodes alone are selected by does not.
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

/// The objects of a model, and what came of them.
#[derive(Clone, Debug)]
pub(super) struct ObjectIndex<O> {
    class: Option<String>,
    addresses: AddressRule,
    namespaces: Namespaces,
    seen: ObjectSet<O>,
    services: ServiceIndex<O>,
    /// Objects that are neither Services nor EndpointSlices: few.
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
    /// Makes a model the one of these objects. Its Services must be those that are recalled.
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
        model.l2_advertisements =
            advertisement::build(of_kind(), &pools, &model.bgp, &model.l2_advertisements, &mut problems);
        (model.pools, model.nodes) = (pools, nodes);
        self.class = class.map(str::to_owned);
        (self.addresses, self.namespaces) = (model.addresses, namespaces);
        problems
    }

    /// What has changed since the last update; all is new if an object is there twice.
    fn changes(&mut self, model: &mut Model, objects: &[O], problems: &mut Vec<Problem>) -> ObjectChanges<O> {
        if let Some(changes) = self.seen.see(objects) {
            return changes;
        }
        // This is a mistake in files, and no API server has it: no reason to be quick, only to be right.
        *self = Self::default();
        model.services.clear();
        self.seen.see(&order::distinct(objects, problems)).unwrap_or_default()
    }

    fn take(&mut self, changes: &ObjectChanges<O>) {
        for object in changes.gone.iter().filter(|it| is_other(it.object())) {
            self.others.remove(&Ranked(object.clone()));
        }
        let come = changes.come.iter().filter(|it| is_other(it.object()));
        self.others.extend(come.cloned().map(Ranked));
    }
}

/// Labels of every namespace.
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
