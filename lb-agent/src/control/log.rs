//! The differences between two passes, for the log.

use std::collections::{BTreeMap, BTreeSet};

use lb_plan::plan::NodeState;

use crate::state::AgentState;

/// Logs new and resolved problems.
pub(super) fn problems(before: &[String], now: &[String]) {
    // There may be one for every Service.
    let [was, is] = [before, now].map(|problems| problems.iter().collect::<BTreeSet<_>>());
    for problem in now.iter().filter(|problem| !was.contains(problem)) {
        tracing::warn!("{problem}");
    }
    for resolved in before.iter().filter(|problem| !is.contains(problem)) {
        tracing::info!("resolved: {resolved}");
    }
}

/// Logs the nodes whose Node object starts or ends a drain.
pub(super) fn drains(before: &AgentState, nodes: &[NodeState]) {
    let drained = before.nodes.iter().filter_map(|node| Some((&node.name, node.drain.as_deref()?)));
    let drained: BTreeMap<_, _> = drained.collect();
    for node in nodes {
        match (drained.get(&node.name).copied(), node.drain.as_deref()) {
            (was, Some(by)) if was != Some(by) => tracing::info!(node = %node.name, by, "node is draining"),
            (Some(_), None) => tracing::info!(node = %node.name, "node is no longer draining"),
            _ => {}
        }
    }
}
