//! Plans that follow each other.

use std::sync::Arc;

use super::{SpeakerPlan, SpeakerSettings, plan};
use lb_model::{Bgp, Model, Node, NodeName, Pools, Service};

/// Makes plans for a node, and keeps the last one: most changes are of endpoints, and concern no route.
#[derive(Debug, Default)]
pub struct SpeakerPlanner {
    last: Option<LastPlan>,
}

/// A plan and all that it depends on.
#[derive(Debug)]
struct LastPlan {
    pools: Pools,
    bgp: Bgp,
    name: NodeName,
    node: Node,
    settings: SpeakerSettings,
    /// In the order of their names, which are those of the plan.
    services: Vec<Arc<Service>>,
    plan: Arc<SpeakerPlan>,
}

impl SpeakerPlanner {
    /// Returns what [`plan()`] returns: the last plan itself if that is equal.
    pub fn plan(
        &mut self,
        model: &Model,
        node: &NodeName,
        settings: &SpeakerSettings,
    ) -> Option<Arc<SpeakerPlan>> {
        if let Some(last) = &mut self.last
            && last.still_holds(model, node, settings)
        {
            return Some(Arc::clone(&last.plan));
        }
        let plan = Arc::new(plan(model, node, settings)?);
        self.last = Some(LastPlan {
            pools: model.pools.clone(),
            bgp: model.bgp.clone(),
            name: node.clone(),
            node: model.nodes.get(node)?.clone(),
            settings: *settings,
            services: model.services.values().cloned().collect(),
            plan: Arc::clone(&plan),
        });
        Some(plan)
    }
}

impl LastPlan {
    /// Returns whether the plan is that of this model, and then remembers its Services.
    fn still_holds(&mut self, model: &Model, node: &NodeName, settings: &SpeakerSettings) -> bool {
        let holds =
            self.settings == *settings
                && self.name == *node
                && model.nodes.get(node) == Some(&self.node)
                && self.services.len() == model.services.len()
                && self.pools == model.pools
                && self.bgp == model.bgp
                && self.plan.services.keys().eq(model.services.keys())
                && self.services.iter().zip(model.services.values()).all(|(before, after)| {
                    Arc::ptr_eq(before, after) || has_same_routes(before, after, node)
                });
        if holds {
            for (before, after) in self.services.iter_mut().zip(model.services.values()) {
                if !Arc::ptr_eq(before, after) {
                    *before = Arc::clone(after);
                }
            }
        }
        holds
    }
}

/// Returns whether two Services agree in everything that a plan reads of a Service.
fn has_same_routes(before: &Service, after: &Service, node: &NodeName) -> bool {
    let read = |service: &Service| -> Vec<_> {
        let vips = service.vips.iter();
        vips.map(|vip| (vip.address, vip.is_served(service.policy), vip.endpoints.by_node.contains_key(node)))
            .collect()
    };
    before.policy == after.policy && before.labels == after.labels && read(before) == read(after)
}
