//! `kubectl fairlead flow`: the nodes of a flow, as each node sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use lb_explain::flow::FlowView;

use super::answers::{NodeAnswer, problems, split};
use crate::table::table;
use crate::text::dash;

/// The views of a flow.
#[derive(Debug)]
pub(super) struct ClusterFlow {
    nodes: BTreeMap<String, FlowView>,
    wrong: Vec<String>,
}

impl ClusterFlow {
    /// Reads the answers.
    pub(super) fn new(answers: &[NodeAnswer]) -> Self {
        let (nodes, mut wrong) = split::<FlowView>(answers);
        let candidates: BTreeSet<_> = nodes.values().map(candidate).collect();
        if candidates.len() > 1 {
            let candidates: Vec<_> = candidates.into_iter().collect();
            wrong.push(format!("nodes send the flow to different nodes: {}", candidates.join(", ")));
        }
        Self { nodes, wrong }
    }

    /// Returns whether all nodes answer and agree.
    pub(super) fn is_well(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Renders a row for each node.
    pub(super) fn render(&self) -> String {
        let header = ["NODE", "SLOT", "LEADER", "SENT TO", "FIRST PACKET", "LATER PACKETS", "ITS TABLE SAYS"];
        let mut table = table(header, &[1]);
        for (node, answer) in &self.nodes {
            let slot = answer.slot.as_ref();
            let entry = answer.entry.as_ref().map(|it| format!("{} ({})", it.node, it.state));
            table.add_row([
                node.clone(),
                slot.map_or_else(dash, |it| it.number.saturating_sub(it.first).to_string()),
                slot.and_then(|it| it.leader.as_ref()).map_or_else(dash, |it| it.name.clone()),
                candidate(answer),
                verdict(answer, "first"),
                verdict(answer, "later"),
                entry.unwrap_or_else(dash),
            ]);
        }
        let mut screen = problems(&self.wrong);
        if let Some(answer) = self.nodes.values().next() {
            let _ =
                writeln!(screen, "flow from {} to {}, as seen by each node:\n", answer.client, answer.vip);
        }
        screen + &format!("{table}\n")
    }
}

fn candidate(flow: &FlowView) -> String {
    let candidate = flow.slot.as_ref().and_then(|slot| slot.candidate.as_ref());
    candidate.map_or_else(dash, |node| node.name.clone())
}

fn verdict(flow: &FlowView, packet: &str) -> String {
    let verdict = flow.verdicts.iter().find(|it| it.packet == packet);
    verdict.map_or_else(dash, |it| match &it.node {
        Some(node) => format!("{} ({node})", it.verdict),
        None => it.verdict.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn answer(node: &str, candidate: &str) -> NodeAnswer {
        let ranked =
            |name: &str| json!({"name": name, "state": "alive", "forwarding": "l2", "next_hop": null});
        let flow = json!({
            "node": node, "client": "203.0.113.1:999", "vip": "192.0.2.1:80/TCP", "affinity": false,
            "slot": {"number": 517, "first": 512, "of": 512, "leader": ranked("n1"), "successors": [], "former": [],
                "candidate": ranked(candidate)},
            "verdicts": [{"packet": "first", "verdict": "forwarded_l2", "dropped": false, "node": "n1"}],
            "entry": {"node": "n1", "state": "open", "age_units": 0}, "distribution": {},
        });
        NodeAnswer { node: node.to_owned(), pod: String::new(), at: Instant::now(), result: Ok(flow) }
    }

    #[test]
    fn nodes_that_agree_are_a_row_each() {
        let flow = ClusterFlow::new(&[answer("n1", "n1"), answer("n2", "n1")]);
        let screen = flow.render();
        let last: Vec<_> = screen.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["n2", "5", "n1", "n1", "forwarded_l2", "(n1)", "-", "n1", "(open)"], "{screen}");
        assert!(flow.is_well() && screen.starts_with("flow from 203.0.113.1:999 to 192.0.2.1:80/TCP"));
    }

    #[test]
    fn nodes_that_send_the_flow_to_different_nodes_are_a_problem() {
        let flow = ClusterFlow::new(&[answer("n1", "n1"), answer("n2", "n2")]);
        assert!(!flow.is_well() && flow.render().contains("different nodes: n1, n2"));
    }
}
