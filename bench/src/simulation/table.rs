//! The runs as a table of results.

use super::engine::Score;
use super::report::{OURS, SimulationReport};
use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable};

/// Returns the table of the rounds of one cluster size, one report each.
#[must_use]
pub fn table(rounds: &[SimulationReport]) -> ResultTable {
    let Some(first) = rounds.first() else { return ResultTable::default() };
    let mut table = ResultTable {
        id: format!("simulation-{}", first.nodes),
        title: format!("Broken connections of {} flows on {} nodes, simulated", first.flows, first.nodes),
        method: format!(
            "One simulated trace for each event and round, for all schemes the same; object changes take up to {} ms, a \
             silent node is dead after {} ms. Broken: of the connections at risk, those that reached a node other than \
             their owner while the owner lived. Kept: entries for single flows beside the nodes' own sockets, for each flow.",
            first.delay * 50,
            first.detection * 50,
        ),
        labels: vec!["event".to_owned(), "scheme".to_owned()],
        plot: Some(Plot::LogarithmicBars),
        ..ResultTable::default()
    };
    for report in rounds {
        for outcome in &report.outcomes {
            for score in &outcome.scores {
                let row = table.row_mut(&[outcome.subject.name(), score.scheme]);
                let of_risk = |count: u64| count as f64 / outcome.at_risk.max(1) as f64;
                row.push("broken", FigureUnit::Share, of_risk(score.broken));
                row.push("owner died", FigureUnit::Share, of_risk(score.died));
                row.push("kept", FigureUnit::Number, kept(score, report));
            }
        }
    }
    table.goals = first.outcomes.iter().filter_map(|outcome| goal(outcome, first)).collect();
    table
}

fn kept(score: &Score, report: &SimulationReport) -> f64 {
    score.tracked as f64 / f64::from(report.flows.max(1))
}

/// Returns the goal of an event, if Fairlead took part.
fn goal(outcome: &super::engine::RunResult, report: &SimulationReport) -> Option<Goal> {
    outcome.scores.iter().find(|score| score.scheme == OURS)?;
    let bound = outcome.subject.bound() as f64 / 100_000.0;
    Some(Goal {
        name: format!("{}, {} nodes: broken by Fairlead", outcome.subject.name(), report.nodes),
        subject: GoalSubject::Figure {
            row: vec![outcome.subject.name().to_owned(), OURS.to_owned()],
            figure: "broken".to_owned(),
        },
        bound: Bound::AtMost(bound),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::engine::{EntryPoint, RunResult};
    use crate::simulation::trace::Subject;

    fn report(broken: u64) -> SimulationReport {
        let score = Score { scheme: OURS, broken, died: 0, lost: 0, tracked: 50, asked: None };
        let outcome = RunResult { subject: Subject::Drain, at_risk: 100, packets: 1, scores: vec![score] };
        SimulationReport {
            flows: 100,
            nodes: 10,
            seed: 1,
            delay: 3,
            detection: 3,
            sets: 16,
            ingress: EntryPoint::Router,
            outcomes: vec![outcome],
        }
    }

    #[test]
    fn a_round_is_a_sample_and_a_broken_connection_misses_the_goal() {
        let table_of = |rounds: &[u64]| table(&rounds.iter().map(|it| report(*it)).collect::<Vec<_>>());
        let quiet = table_of(&[0, 0, 1]);
        assert_eq!(quiet.rows[0].figure("broken").unwrap().samples, [0.0, 0.0, 0.01]);
        assert_eq!(quiet.rows[0].figure("kept").unwrap().samples, [0.5; 3]);
        assert!(quiet.goals[0].is_met(&quiet));
        let bad = table_of(&[0, 1, 1]);
        assert!(!bad.goals[0].is_met(&bad));
    }
}
