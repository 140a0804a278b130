//! Probes between nodes: every node probes every other one once a tick.

use lb_common::ring::NodeIndex;
use lb_pipeline::owner::LivenessState;

use super::NodeProbes;
use crate::simulation::Tick;

/// An answer to a probe.
#[derive(Clone, Copy)]
struct Answer {
    at: Tick,
    draining: bool,
}

/// The last answers, by prober and responder.
pub(super) struct Liveness {
    detection: Tick,
    answers: Vec<Vec<Option<Answer>>>,
}

impl Liveness {
    /// Creates an empty table. A node is dead after `detection` ticks without an answer.
    pub(super) fn new(detection: Tick) -> Self {
        Self { detection, answers: Vec::new() }
    }

    /// Adds a node without any answer.
    pub(super) fn add_node(&mut self) {
        let nodes = self.answers.len() + 1;
        self.answers.push(Vec::new());
        for answers in &mut self.answers {
            answers.resize(nodes, None);
        }
    }

    /// Starts a node's clock. It counts no node as dead before the detection time has passed once.
    pub(super) fn start(&mut self, node: NodeIndex, now: Tick) {
        self.answers[usize::from(node)].fill(Some(Answer { at: now, draining: false }));
    }

    /// Exchanges probes between nodes that are up; `answers` returns whether the first answers the second.
    pub(super) fn probe(
        &mut self,
        now: Tick,
        up: &[bool],
        draining: &[bool],
        answers: impl Fn(NodeIndex, NodeIndex) -> bool,
    ) {
        for (asks, heard) in (0..).zip(&mut self.answers).filter(|(asks, _)| up[usize::from(*asks)]) {
            for ((there, answer), (is_up, draining)) in (0..).zip(heard).zip(up.iter().zip(draining)) {
                if *is_up && answers(there, asks) {
                    *answer = Some(Answer { at: now, draining: *draining });
                }
            }
        }
    }

    /// Returns the result of a node's probes for each node.
    pub(super) fn peers(&self, own: NodeIndex, now: Tick) -> Vec<NodeProbes> {
        let judge = |(node, answer): (usize, &Option<Answer>)| {
            // Probes of different nodes are not sent at the same moment.
            let phase = (usize::from(own) + node) as Tick % 2;
            self.judge(*answer, self.detection + phase, now)
        };
        self.answers[usize::from(own)].iter().enumerate().map(judge).collect()
    }

    fn judge(&self, answer: Option<Answer>, patience: Tick, now: Tick) -> NodeProbes {
        let Some(answer) = answer else {
            return NodeProbes { liveness: LivenessState::Dead, dead_since: None };
        };
        let liveness = match answer.draining {
            _ if now - answer.at > patience => LivenessState::Dead,
            true => LivenessState::Draining,
            false => LivenessState::Accepting,
        };
        let dead_since = (liveness == LivenessState::Dead).then_some(answer.at + patience + 1);
        NodeProbes { liveness, dead_since }
    }
}
