//! `kubectl fairlead why`: the first broken link of each node.

use std::collections::BTreeMap;
use std::fmt::Write;

use lb_explain::link::Explanation;

use super::answers::{NodeAnswer, names, problems, split};
use crate::output::{PROBLEM, WELL, styled};
use crate::table::table;
use crate::text::dash;

/// The explanations of all nodes.
#[derive(Debug)]
pub(super) struct ClusterWhy {
    nodes: BTreeMap<String, Explanation>,
    silent: Vec<String>,
}

impl ClusterWhy {
    /// Reads the answers.
    pub(super) fn new(answers: &[NodeAnswer]) -> Self {
        let (nodes, silent) = split(answers);
        Self { nodes, silent }
    }

    /// Returns whether all nodes answer, and none has a broken link.
    pub(super) fn is_well(&self) -> bool {
        self.silent.is_empty() && self.nodes.values().all(|it| it.first.is_none())
    }

    /// Renders a row for each node, then each cause once, with what to do.
    pub(super) fn render(&self) -> String {
        let mut table = table(["NODE", "LINK", "STATE", "VIP"], &[]);
        for (node, explanation) in &self.nodes {
            let vip = explanation.first_vip.clone().unwrap_or_else(dash);
            table.add_row(match &explanation.first {
                None => [node.clone(), dash(), "ok".into(), dash()],
                Some(link) => [node.clone(), link.name.as_str().into(), link.state.as_str().into(), vip],
            });
        }
        let target = self.nodes.values().next().map(|it| it.target.as_str()).unwrap_or_default();
        let mut screen = problems(&self.silent);
        let _ = writeln!(
            screen,
            "{target}, the first broken or degraded link as seen by each node:\n\n{table}\n"
        );
        for (fact, (nodes, advice)) in self.causes() {
            let _ = writeln!(screen, "{} {}: {fact}", styled(PROBLEM, "!"), names(nodes));
            if let Some(advice) = advice {
                let _ = writeln!(screen, "  to do: {advice}");
            }
        }
        if self.is_well() {
            let _ = writeln!(screen, "{}", styled(WELL, "all is well as far as the nodes can see"));
        }
        screen
    }

    /// Returns each cause with the nodes that name it, and what to do.
    fn causes(&self) -> BTreeMap<&str, (Vec<&str>, Option<&str>)> {
        let mut causes: BTreeMap<&str, (Vec<&str>, Option<&str>)> = BTreeMap::new();
        for (node, explanation) in &self.nodes {
            if let Some(link) = &explanation.first {
                let (nodes, advice) = causes.entry(&link.fact).or_default();
                nodes.push(node);
                *advice = advice.or(link.advice.as_deref());
            }
        }
        causes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use anstream::adapter::strip_str;
    use serde_json::{Value, json};

    use super::*;

    fn answer(node: &str, first: &Value) -> NodeAnswer {
        let explanation = json!({
            "node": node, "target": "shop/web", "client": null, "first": first, "first_vip": "192.0.2.1:80/TCP",
            "chains": [],
        });
        NodeAnswer { node: node.to_owned(), pod: String::new(), at: Instant::now(), result: Ok(explanation) }
    }

    #[test]
    fn a_cause_that_several_nodes_name_is_printed_once_with_its_advice() {
        let broken = json!({"name": "ring", "state": "broken", "fact": "lb_rings is full", "cause": "ring_full",
            "advice": "raise --ring-slots"});
        let why =
            ClusterWhy::new(&[answer("n1", &broken), answer("n2", &broken), answer("n3", &Value::Null)]);
        let screen = strip_str(&why.render()).to_string();
        assert!(screen.ends_with("\n! n1, n2: lb_rings is full\n  to do: raise --ring-slots\n"), "{screen}");
        let rows: Vec<_> =
            screen.lines().skip(2).map(|it| it.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!(rows[1], ["n1", "ring", "BROKEN", "192.0.2.1:80/TCP"]);
        assert_eq!(rows[3], ["n3", "-", "ok", "-"]);
        assert!(!why.is_well());
    }

    #[test]
    fn nodes_without_a_broken_link_are_well() {
        let why = ClusterWhy::new(&[answer("n1", &Value::Null)]);
        assert!(why.is_well() && why.render().contains("all is well"));
    }
}
