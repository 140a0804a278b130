//! The differences between two passes, for the log.

use std::collections::{BTreeMap, BTreeSet};

use lb_dataplane::liveness::NotAccepting;
use lb_plan::plan::NodeState;

use super::readiness::ReadyState;
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

/// Logs a change of this node's readiness.
pub(super) fn readiness(was_ready: bool, now: ReadyState) {
    match (was_ready, now) {
        (false, ReadyState::Yes) => tracing::info!("ready: forwarding packets for VIPs"),
        (true, ReadyState::No) => {
            tracing::warn!("not ready: routes are withdrawn until this node can forward packets")
        }
        _ => {}
    }
}

/// Logs the other nodes that stop or resume accepting new flows.
pub(super) fn liveness(before: &NotAccepting, now: &NotAccepting, nodes: &[NodeState]) {
    for node in nodes.iter().filter(|node| !node.is_self) {
        match (before.contains(&node.address), now.contains(&node.address)) {
            (false, true) => {
                tracing::warn!(node = %node.name, "node is dead or draining: new flows go to other nodes");
            }
            (true, false) => tracing::info!(node = %node.name, "node accepts new flows again"),
            _ => {}
        }
    }
}
