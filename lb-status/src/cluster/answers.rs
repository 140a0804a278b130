//! The answers of nodes.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::output::{PROBLEM, styled};
use crate::text::first_few;

/// The answer of a node.
#[derive(Clone, Debug)]
pub(super) struct NodeAnswer {
    pub(super) node: String,
    pub(super) pod: String,
    /// When it came.
    pub(super) at: Instant,
    /// The JSON that its agent has printed, or why there is none.
    pub(super) result: Result<Value, String>,
}

impl NodeAnswer {
    /// Returns the answer as a type; a node with another version may have answered something else.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let value = self.result.clone()?;
        serde_json::from_value(value)
            .map_err(|error| format!("cannot parse its answer ({error}); is it of another version?"))
    }

    /// Returns the answer as an element of a list of nodes.
    pub(super) fn json(&self) -> Value {
        match &self.result {
            Ok(answer) => json!({"node": self.node, "pod": self.pod, "answer": answer}),
            Err(error) => json!({"node": self.node, "pod": self.pod, "error": error}),
        }
    }
}

/// Splits answers into those that can be read, by node, and a line for each of the others.
pub(super) fn split<T: DeserializeOwned>(answers: &[NodeAnswer]) -> (BTreeMap<String, T>, Vec<String>) {
    let mut read = BTreeMap::new();
    let mut lines = Vec::new();
    for answer in answers {
        match answer.read() {
            Ok(value) => {
                read.insert(answer.node.clone(), value);
            }
            Err(error) => lines.push(format!("node {} does not answer: {error}", answer.node)),
        }
    }
    (read, lines)
}

/// Returns lines of problems.
pub(super) fn problems(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{} {line}\n", styled(PROBLEM, "!"))).collect()
}

/// Returns the names of nodes.
pub(super) fn names<'a>(nodes: impl IntoIterator<Item = &'a str>) -> String {
    let nodes: Vec<String> = nodes.into_iter().map(str::to_owned).collect();
    first_few(nodes.into_iter(), ", ")
}
