//! Functions for the agents of several nodes.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Lab;
use super::command::Process;
use super::node::{LabAgentOptions, LabNode};

/// Starts the agents of these nodes in parallel, and waits until each is ready and sees all others alive.
/// Before that, a node that starts slowly is dead to one that starts quickly, and gets no new flows.
///
/// # Errors
/// When one exits, or is not ready in time.
pub fn start(nodes: &[LabNode<'_>], options: &LabAgentOptions) -> Result<()> {
    nodes.iter().try_for_each(|node| node.launch_agent(options))?;
    nodes.iter().try_for_each(|node| node.wait_agent_ready(options.ready_within))?;
    wait_alive(nodes, options.ready_within)
}

/// Gives all running agents real-time priority, as if each had a machine of its own.
///
/// # Errors
/// When the kernel does not permit it.
pub fn prioritize(lab: &Lab) -> Result<()> {
    lab.agents().values().try_for_each(Process::prioritize)
}

/// Waits until each of these nodes sees all the others alive.
///
/// # Errors
/// When it does not in time.
pub fn wait_alive(nodes: &[LabNode<'_>], within: Duration) -> Result<()> {
    let expected = |status: &Value| {
        let (named, liveness) = (list(status, "nodes")?, list(status, "liveness")?);
        let alive = |other: &&Value| {
            let number = &other["index"];
            liveness.iter().any(|cell| cell["number"] == *number && cell["state"] == "alive")
        };
        let others = named
            .iter()
            .filter(|it| it["is_self"] == false && nodes.iter().any(|node| it["name"] == *node.spec().name));
        Ok(others.filter(alive).count() + 1 == nodes.len())
    };
    nodes.iter().try_for_each(|node| node.wait_status("sees all others alive", within, expected))
}

/// Returns a list of an agent's status.
///
/// # Errors
/// When there is no such list.
pub fn list<'a>(status: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    status[key].as_array().with_context(|| format!("the status has no {key}"))
}

/// Returns the problems in an agent's status, except that the VIPs are in no network of the uplinks: the lab
/// routes them.
///
/// # Errors
/// When there is no such list.
pub fn problems(status: &Value) -> Result<Vec<String>> {
    let problems = list(status, "problems")?.iter().filter_map(Value::as_str);
    Ok(problems
        .filter(|it| !it.contains("are in no network of this node's uplinks"))
        .map(str::to_owned)
        .collect())
}
