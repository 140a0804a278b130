//! Models one after another, of objects of which few have changed.

use std::sync::Arc;

use lb_api::objects::{Object, Sourced};
use lb_api::problem::Problem;

use super::service::{Context, Judgements};
use super::{Model, NodeName, Pools};

/// Makes a model after another one, and looks only at the Services of which something is another than it was: the
/// object, one of its EndpointSlices, the pools, or which nodes there are. The result is that of [`Model::after`].
///
/// What is the same it knows by its place in memory, so it holds the objects that it has seen last.
#[derive(Clone, Debug, Default)]
pub struct Modeller {
    objects: Vec<Arc<Sourced<Object>>>,
    recollection: Recollection,
}

impl Modeller {
    /// The model of all objects after another one, as [`Model::after`] has it.
    pub fn after(
        &mut self,
        before: &Model,
        objects: &[Arc<Sourced<Object>>],
        class: Option<&str>,
    ) -> (Model, Vec<Problem>) {
        let made = Model::recalling(before, objects, class, &mut self.recollection);
        // Only now may those go that were seen before: nothing is recalled of them any more.
        self.objects = objects.to_vec();
        made
    }
}

/// What came of Services, and what that was judged against.
#[derive(Clone, Debug, Default)]
pub(super) struct Recollection {
    pools: Pools,
    nodes: Vec<NodeName>,
    class: Option<String>,
    judgements: Judgements,
}

impl Recollection {
    /// What came of Services in the same context; nothing if it was another.
    pub(super) fn of(&mut self, context: &Context<'_>) -> &mut Judgements {
        let is_same = self.class.as_deref() == context.class
            && self.pools == *context.pools
            && self.nodes.iter().eq(context.nodes.keys());
        if !is_same {
            self.judgements.clear();
            self.class = context.class.map(str::to_owned);
            self.pools = context.pools.clone();
            self.nodes = context.nodes.keys().cloned().collect();
        }
        &mut self.judgements
    }
}
