//! Answers to questions of operators. They cost a copy of what the loop knows, and only when one asks.

use lb_explain::facts::ClusterFacts;

use super::ControlLoop;
use super::readiness::ReadyState;
use super::reconcile::speaker_settings;
use super::state::LoopState;
use crate::inquiry::{Inquiry, LoopFacts};

impl ControlLoop {
    /// Answers a question. It is dropped if its command is gone.
    pub(super) fn answer(&self, inquiry: Inquiry, state: &LoopState) {
        let published = self.state.borrow().clone();
        let model = state.model.model();
        let withdrawn = state.ready == ReadyState::No;
        let mut problems = state.problems.clone();
        problems.extend(state.plan_problems.iter().cloned());
        let cluster = ClusterFacts {
            objects: state.objects.clone(),
            model: model.clone(),
            class: self.class.clone(),
            problems,
            failures: state.failures.clone(),
            speaker: speaker_settings(&self.settings, model, withdrawn),
            services: published.services.clone(),
            nodes: published.nodes.clone(),
            installed: state.installed.clone(),
            ..ClusterFacts::default()
        };
        let uplink_problems = state.uplinks.problems.clone();
        let occupied = self.attachment.occupied();
        let _ = inquiry.0.send(LoopFacts { cluster, uplink_problems, occupied });
    }
}
