//! `kubectl fairlead status`: one table of all nodes, what is wrong, and how their views differ.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::Table;
use serde_json::{Value, json};

use super::answers::{NodeAnswer, names, problems, split};
use super::compare::{self, Views};
use crate::output::{NOTICE, WELL, styled};
use crate::overview::Overview;
use crate::summary::FindingSeverity;
use crate::table::table;
use crate::text::dash;

/// The status of a cluster.
#[derive(Debug)]
pub(super) struct ClusterStatus {
    views: Views,
    /// Nodes that cannot be seen.
    silent: Vec<String>,
    differences: Vec<String>,
    nodes: Vec<Value>,
}

impl ClusterStatus {
    /// Puts the answers together. If only some nodes were asked, the others are not missed.
    pub(super) fn new(answers: &[NodeAnswer], are_all: bool) -> Self {
        let (views, mut silent) = split::<Overview>(answers);
        let asked: BTreeSet<&str> = answers.iter().map(|answer| answer.node.as_str()).collect();
        if are_all {
            silent.extend(compare::without_agent(&views, &asked));
        }
        let differences = compare::differences(&views);
        Self { views, silent, differences, nodes: answers.iter().map(NodeAnswer::json).collect() }
    }

    /// Returns whether all nodes answer, agree, and have no problem.
    pub(super) fn is_well(&self) -> bool {
        let are_well = self.views.values().all(|view| view.summary.well);
        are_well && self.silent.is_empty() && self.differences.is_empty()
    }

    /// Returns the status as JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "well": self.is_well(), "nodes": self.nodes, "silent": self.silent, "differences": self.differences,
        })
    }

    /// Renders the status.
    pub(super) fn render(&self) -> String {
        let mut wrong = self.silent.clone();
        wrong.extend(self.differences.iter().map(|difference| format!("nodes differ: {difference}")));
        wrong.extend(self.findings(FindingSeverity::Problem));
        let notices = self.findings(FindingSeverity::Notice);
        let notices: String =
            notices.iter().map(|line| format!("{} {line}\n", styled(NOTICE, "-"))).collect();
        let lines = problems(&wrong) + &notices;
        let head = if lines.is_empty() { styled(WELL, "no problems") + "\n" } else { lines };
        format!("{head}\n{}\n", self.table())
    }

    /// Returns the findings of all nodes: one that several have is one line.
    fn findings(&self, severity: FindingSeverity) -> Vec<String> {
        let mut nodes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (node, view) in &self.views {
            for finding in view.summary.findings.iter().filter(|finding| finding.severity == severity) {
                nodes.entry(&finding.text).or_default().push(node);
            }
        }
        nodes.into_iter().map(|(text, nodes)| format!("{}: {text}", names(nodes))).collect()
    }

    fn table(&self) -> Table {
        let header = [
            "NODE",
            "STATE",
            "PROBLEMS",
            "OTHER NODES",
            "VIPS",
            "BGP",
            "BFD",
            "ANNOUNCES",
            "FLOWS",
            "VERSION",
        ];
        let mut table = table(header, &[2, 4, 7, 8]);
        for node in &self.nodes {
            let name = node["node"].as_str().unwrap_or_default();
            match self.views.get(name) {
                Some(view) => table.add_row(row(name, view)),
                None => table.add_row([name, "no answer"]),
            };
        }
        table
    }
}

fn row(name: &str, view: &Overview) -> [String; 10] {
    let (status, state) = (&view.status, &view.status.state);
    let problems = view.summary.findings.iter().filter(|it| it.severity == FindingSeverity::Problem).count();
    let alive = status.liveness.iter().filter(|it| it.state != "dead").count();
    let up = |up: usize, all: usize| if all == 0 { dash() } else { format!("{up} of {all}") };
    let established = view.bgp.sessions.iter().filter(|it| it.state == "established").count();
    let bfd_up = view.bfd.sessions.iter().filter(|it| it.state == "Up").count();
    let announces = view.l2.addresses.iter().filter(|it| it.view.phase == "announcing").count();
    let word = if state.ready { "ready" } else { "not ready" };
    [
        name.to_owned(),
        if state.draining { format!("{word}, draining") } else { word.to_owned() },
        problems.to_string(),
        if status.liveness.is_empty() {
            dash()
        } else {
            format!("{alive} of {} alive", status.liveness.len())
        },
        state.services.iter().map(|service| service.vips.len()).sum::<usize>().to_string(),
        up(established, view.bgp.sessions.len()),
        up(bfd_up, view.bfd.sessions.len()),
        announces.to_string(),
        status.flows.owned.to_string(),
        state.version.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use anstream::adapter::strip_str;

    use super::*;
    use crate::summary::tests::{overview, well};

    fn answer(node: &str, result: Result<Value, String>) -> NodeAnswer {
        NodeAnswer { node: node.to_owned(), pod: format!("agent-{node}"), at: Instant::now(), result }
    }

    #[test]
    fn a_node_that_does_not_answer_is_named_first_and_is_not_well() {
        let seen = serde_json::to_value(overview(&well())).unwrap();
        let answers = [answer("n1", Ok(seen)), answer("n2", Err("it did not end within 10 s".into()))];
        let status = ClusterStatus::new(&answers, true);
        let screen = strip_str(&status.render()).to_string();
        assert!(
            screen.starts_with("! node n2 does not answer: it did not end within 10 s\n\n NODE"),
            "{screen}"
        );
        assert!(!status.is_well());
        let words: Vec<_> = screen.lines().nth(3).unwrap().split_whitespace().collect();
        assert_eq!(
            words,
            [
                "n1", "ready", "0", "1", "of", "1", "alive", "1", "1", "of", "1", "1", "of", "1", "0", "5",
                "0.1.0"
            ]
        );
        assert!(screen.contains("no answer"), "{screen}");
        assert_eq!(status.json()["nodes"][1]["error"], "it did not end within 10 s");
    }

    #[test]
    fn a_node_without_a_pod_is_missed_unless_some_nodes_were_asked() {
        let seen = serde_json::to_value(overview(&well())).unwrap();
        let answers = [answer("n1", Ok(seen))];
        assert!(ClusterStatus::new(&answers, true).render().contains("no agent runs on node n2"));
        assert!(ClusterStatus::new(&answers, false).is_well());
    }

    #[test]
    fn an_answer_of_another_program_is_no_panic() {
        let status = ClusterStatus::new(&[answer("n1", Ok(json!({"node": 7})))], true);
        assert!(status.render().contains("is it of another version?"));
    }

    #[test]
    fn a_problem_of_several_nodes_is_one_line() {
        let mut seen = well();
        seen["problems"] = json!(["no node announces 192.0.2.1"]);
        let seen = serde_json::to_value(overview(&seen)).unwrap();
        let answers = [answer("n1", Ok(seen.clone())), answer("n2", Ok(seen))];
        let screen = strip_str(&ClusterStatus::new(&answers, true).render()).to_string();
        assert!(screen.contains("! n1, n2: no node announces 192.0.2.1\n"), "{screen}");
    }
}
